"""A Redis server; a face for scripts/redis.sh."""

import pathlib
import socket
import subprocess

from rig.brokers import Unavailable

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "redis.sh"
EX_UNAVAILABLE = 69
