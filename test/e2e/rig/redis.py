"""A Redis server; a face for scripts/redis.sh."""

import pathlib
import subprocess

from rig.script import SCRIPTS, run

SCRIPT = SCRIPTS / "redis.sh"


class Redis:
    """Started by the constructor; waits until it answers. `settings`: of redis.conf. `destroy()` kills and removes it; removing
    `directory` by scripts/cluster.sh does, too."""

    def __init__(self, directory, name, **settings):
        self.path = pathlib.Path(directory, name).resolve()
        self.address = self._script("start", *[f"{key.replace('_', '-')}={value}" for key, value in settings.items()]).strip()

    def _script(self, command, *arguments):
        return run(SCRIPT, command, self.path, *arguments)

    def start(self):
        self._script("start")

    def stop(self):
        self._script("stop")

    def kill(self):
        """kill -9; what it was told stays, as the page cache has it."""
        self._script("kill")

    def destroy(self):
        self._script("destroy")

    def command(self, *words):
        """What redis-cli prints of one command's answer, an error's text too."""
        host, port = self.address.split(":")
        done = subprocess.run(["redis-cli", "-h", host, "-p", port, *map(str, words)], text=True, stdin=subprocess.DEVNULL, capture_output=True)
        return done.stdout.strip() or done.stderr.strip()
