"""A cluster in the private copy of the server; a face for scripts/cluster.sh."""

import pathlib
import subprocess
import time

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "cluster.sh"


class Cluster:
    """Made and started by the constructor. `destroy()` removes it; the runner also does when a test has failed."""

    def __init__(self, directory, name, **settings):
        self.path = f"{directory}/{name}"
        self.socket = self._script("socket").strip()
        self._script("create", *[f"{key}={value}" for key, value in settings.items()])

    def _script(self, command, *arguments):
        done = subprocess.run([SCRIPT, command, self.path, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(f"cluster.sh {command}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        self._script("start")

    def stop(self):
        self._script("stop")

    def kill(self):
        """kill -9 of every process of the server."""
        self._script("kill")

    def crash_restart(self):
        self.kill()
        self.start()

    def destroy(self):
        self._script("destroy")

    def server_user(self):
        return pathlib.Path(self.path, "data").owner()

    def log(self):
        return pathlib.Path(self.path, "log").read_text(errors="replace")

    def settings(self, dbname="postgres", user="postgres"):
        """What libpq reads from the environment to get here."""
        return {"PGHOST": self.socket, "PGPORT": "5432", "PGUSER": user, "PGDATABASE": dbname}

    def connect(self, dbname="postgres", user="postgres", autocommit=True):
        connection = psycopg2.connect(host=self.socket, port=5432, user=user, dbname=dbname)
        connection.autocommit = autocommit
        return connection

    def connect_patiently(self, seconds=30, **how):
        """Connects to a server that may be starting or recovering."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.connect(**how)
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
