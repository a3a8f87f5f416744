"""Servers that scripts/ start and stop."""

import json
import pathlib
import subprocess
import urllib.error
import urllib.request

from rig.servers import Unavailable

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


class ScriptedServer:
    """Started by the constructor; waits until it answers. `address` is what its script prints, as clients want it; `destroy()` kills and
    removes it; removing `directory` by scripts/cluster.sh does, too."""

    script = None  # of a subclass: its file in SCRIPTS

    def __init__(self, directory, name, *settings):
        self.path = pathlib.Path(directory, name).resolve()
        self.start(*settings)

    def _run(self, command, *arguments):
        return run(SCRIPTS / self.script, command, self.path, *arguments).strip()

    def start(self, *settings):
        self.address = self._run("start", *settings)

    def stop(self):
        self._run("stop")

    def kill(self):
        """kill -9"""
        self._run("kill")

    def destroy(self):
        self._run("destroy")


def request(url, body=None, method=None, content_type="application/json"):
    """(HTTP status, answer) of a request with a body of JSON; of a list: one object a line."""
    data = None
    if body is not None:
        data = ("".join(json.dumps(each) + "\n" for each in body) if isinstance(body, list) else json.dumps(body)).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": content_type}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
