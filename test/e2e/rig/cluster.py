"""A cluster in the private copy of the server; a face for scripts/cluster.sh."""

import pathlib
import subprocess
import time

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "cluster.sh"


class Cluster:
    """Made and started by the constructor. `destroy()` removes it; the runner also does when a test has failed.

    It listens on a socket alone, unless `listen_addresses="127.0.0.1", port=N` asks for TCP: other programs may know no
    other way.
    """

    def __init__(self, directory, name, original=None, standby=False, files=False, **settings):
        """`original`: a cluster that it is a copy of, as that is now: with its system identifier, without its slots.

        `standby`: a copy that goes on following it, until it is promoted. `files`: of the files of a cluster that is stopped, and so
        with its slots.
        """
        self.port = int(settings.get("port", 5432))
        self.path = f"{directory}/{name}"
        self.socket = self._script("socket").strip()
        if original is None:
            self._script("create", *[f"{key}={value}" for key, value in settings.items()])
        else:
            how = "standby" if standby else "copy" if files else "clone"
            done = subprocess.run([SCRIPT, how, original.path, self.path], text=True, capture_output=True)
            if done.returncode != 0:
                raise RuntimeError(f"cluster.sh {how}: {done.stderr.strip()}")

    def _script(self, command, *arguments):
        done = subprocess.run([SCRIPT, command, self.path, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(f"cluster.sh {command}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        self._script("start")

    def promote(self):
        self._script("promote")

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
        return {"PGHOST": self.socket, "PGPORT": str(self.port), "PGUSER": user, "PGDATABASE": dbname}

    def connect(self, dbname="postgres", user="postgres", autocommit=True):
        connection = psycopg2.connect(host=self.socket, port=self.port, user=user, dbname=dbname)
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
