"""A Redis server; a face for scripts/redis.sh."""

import contextlib
import socket
import subprocess

from rig.script import ScriptedServer


class Redis(ScriptedServer):
    """`settings`: of redis.conf. What it has acknowledged outlives kill()."""

    script = "redis.sh"

    def __init__(self, directory, name, **settings):
        super().__init__(directory, name, *[f"{key.replace('_', '-')}={value}" for key, value in settings.items()])

    def command(self, *words):
        """What redis-cli prints of one command's answer, an error's text too."""
        host, port = self.address.split(":")
        done = subprocess.run(["redis-cli", "-h", host, "-p", port, *map(str, words)], text=True, stdin=subprocess.DEVNULL, capture_output=True)
        return done.stdout.strip() or done.stderr.strip()

    @contextlib.contextmanager
    def client(self):
        """Calls with commands, binary and fast: client("GET", "a") is bytes, an int, a list or None; errors raise RedisError."""
        host, port = self.address.split(":")
        with contextlib.closing(socket.create_connection((host, int(port)), timeout=60)) as connection, connection.makefile("rb") as answers:
            def call(*words):
                encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
                connection.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
                return _read_answer(answers)
            yield call

    def contents(self):
        """{key: its value} of everything but what anabranch keeps for itself: str, dict, set, or for a sorted set {member: score}."""
        found = {}
        with self.client() as call:
            for key in call("KEYS", "*"):
                if key.startswith(b"anabranch:"):
                    continue
                kind = call("TYPE", key)
                if kind == "string":
                    value = (call("GET", key) or b"").decode()
                elif kind == "hash":
                    value = _pairs(call("HGETALL", key))
                elif kind == "set":
                    value = {member.decode() for member in call("SMEMBERS", key)}
                else:
                    value = {member: float(score) for member, score in _pairs(call("ZRANGE", key, 0, -1, "WITHSCORES")).items()}
                found[key.decode()] = value
        return found


class RedisError(Exception):
    pass


def _pairs(flat):
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def _read_answer(answers):
    line = answers.readline()[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"+":
        return rest.decode()
    if kind == b"-":
        raise RedisError(rest.decode())
    if kind == b":":
        return int(rest)
    if int(rest) < 0:
        return None
    if kind == b"$":
        return answers.read(int(rest) + 2)[:-2]
    return [_read_answer(answers) for _ in range(int(rest))]
