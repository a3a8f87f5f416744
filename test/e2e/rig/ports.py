"""Ports of 127.0.0.1 for servers that have to be told one."""

import contextlib
import random
import socket

# As scripts/background.sh has them: where the kernel gives none to connections that go out, since servers start again.
FIRST, LAST = 20000, 31999


def free_ports(count):
    """So many different ones where nobody listens now."""
    with contextlib.ExitStack() as held:
        ports = []
        while len(ports) < count:
            candidate = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind(("127.0.0.1", random.randint(FIRST, LAST)))
                ports.append(candidate.getsockname()[1])
        return ports


def free_port():
    return free_ports(1)[0]
