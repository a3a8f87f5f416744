"""Ports of 127.0.0.1 for servers that have to be told one."""

import random
import socket

# As scripts/background.sh has them: where the kernel gives none to connections that go out, since servers start again.
FIRST, LAST = 20000, 31999


def free_port():
    """Where nobody listens now."""
    while True:
        port = random.randint(FIRST, LAST)
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
