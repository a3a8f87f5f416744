"""Servers that scripts/ start and stop."""

import pathlib
import subprocess

from rig.brokers import Unavailable

SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / "scripts"
EX_UNAVAILABLE = 69


def run(script, *arguments, **how):
    """What the script prints. What it says cannot be had on this machine is Unavailable."""
    done = subprocess.run([script, *map(str, arguments)], text=True, stdin=subprocess.DEVNULL, capture_output=True, **how)
    if done.returncode == EX_UNAVAILABLE:
        raise Unavailable(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"{script.name} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
