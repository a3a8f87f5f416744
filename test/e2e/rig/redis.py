"""A Redis server; a face for scripts/redis.sh."""

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
