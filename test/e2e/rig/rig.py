"""What one test gets: a cluster, a database with the extension, a sidecar, and waits that end."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

import psycopg2

from rig.cluster import Cluster
from rig.compare import expect_equal
from rig.sidecar import Sidecar, command
from rig.waiting import PATIENCE_SECONDS, wait_until


class Rig:
    """A context manager: everything it started is killed and removed at its end."""

    def __init__(self, directory, name, dbname="app", **settings):
        self.dbname = dbname
        self.directory = pathlib.Path(directory)
        # Processes are killed here, never the machine: what was written is in the page cache, so fsync proves nothing.
        self.cluster = Cluster(directory, name, **{"fsync": "off", "log_min_messages": "warning", **settings})
        self.log_path = self.directory / f"{name}.sidecar.log"
        self.sidecar = Sidecar(self.cluster, dbname, self.log_path)
        self._connection = None
        self._others = []
        self._former = []

    def __enter__(self):
        with contextlib.closing(self.cluster.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{self.dbname}"')
        self.sql("CREATE EXTENSION anabranch")
        return self

    def __exit__(self, kind, *_):
        if kind is not None and self.log_path.exists():
            print(f"--- the sidecar's last lines\n{self.sidecar.log_tail()}")
        # A halted process would not die of anything else.
        self.sidecar.kill()
        for sidecar in self._others:
            sidecar.kill()
        for cluster in [self.cluster, *self._former]:
            cluster.destroy()

    # --- SQL ------------------------------------------------------------------------------------------------------

    @property
    def connection(self):
        """The test's own session, made again after a crash of the server."""
        if self._connection is not None and not self._connection.closed:
            # That the server has died shows only when the session is used.
            with contextlib.suppress(psycopg2.Error), self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        if self._connection is None or self._connection.closed:
            self._connection = self.cluster.connect_patiently(dbname=self.dbname)
        return self._connection

    def crash_restart(self):
        """kill -9 of the server, and its restart. The test's own session is made again when it is next needed."""
        self.cluster.crash_restart()
        if self._connection is not None:
            self._connection.close()

    def session(self, **how):
        """Another session; autocommit unless said otherwise."""
        return self.cluster.connect(dbname=self.dbname, **how)

    def sql(self, statement, parameters=None):
        """Runs it in the test's session; returns the rows, or None where there are none."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else None

    def value(self, statement, parameters=None):
        return self.sql(statement, parameters)[0][0]

    def sql_error(self, statement, user=None):
        """Runs what has to fail; returns psycopg2's error with pgcode, diag.message_primary, diag.message_hint."""
        try:
            if user is None:
                self.sql(statement)
            else:
                with contextlib.closing(self.session(user=user)) as session, session.cursor() as cursor:
                    cursor.execute(statement)
        except psycopg2.Error as error:
            return error
        raise AssertionError(f"succeeded, and should not have:\n{statement}")

    def allow_only_with_password(self, role):
        """From now on the server asks this role for its password."""
        access = pathlib.Path(self.cluster.path, "data", "pg_hba.conf")
        access.write_text(f"local all {role} scram-sha-256\n{access.read_text()}")
        self.sql("SELECT pg_reload_conf()")

    # --- The program ----------------------------------------------------------------------------------------------

    def init(self):
        """Prepares the database: publication, slot, roles."""
        return self.command("init")

    def command(self, *arguments, **how):
        return command(self.cluster, self.dbname, *arguments, **how)

    def another_sidecar(self):
        sidecar = Sidecar(self.cluster, self.dbname, f"{self.log_path}.{len(self._others) + 2}")
        self._others.append(sidecar)
        return sidecar

    @contextlib.contextmanager
    def clone(self, slots=False):
        """A copy of the server, started, and a sidecar for it with our arguments; both end with the block. By pg_basebackup, or with
        `slots`, as a snapshot of its disk would have them, by its files: our server is stopped for that, and started again."""
        if slots:
            self.cluster.stop()
        cluster = Cluster(self.directory, f"{pathlib.Path(self.cluster.path).name}-clone", original=self.cluster, files=slots)
        if slots:
            self.cluster.start()
        sidecar = Sidecar(cluster, self.dbname, f"{self.log_path}.clone")
        sidecar.arguments = self.sidecar.arguments
        try:
            yield cluster, sidecar
        finally:
            sidecar.kill()
            cluster.destroy()

    @contextlib.contextmanager
    def standby(self):
        """A standby that streams from our server; ends with the block, unless the rig has moved to it."""
        cluster = Cluster(self.directory, f"{pathlib.Path(self.cluster.path).name}-standby", original=self.cluster, standby=True)
        try:
            yield cluster
        finally:
            if cluster is not self.cluster:
                cluster.destroy()

    def move_to(self, cluster):
        """From now on the rig is about another server: statements, commands and the sidecar, which must not be running. The
        one before is destroyed at the end."""
        if self._connection is not None:
            self._connection.close()
        self._former.append(self.cluster)
        self.cluster = cluster
        arguments = self.sidecar.arguments
        self.sidecar = Sidecar(cluster, self.dbname, self.log_path, arguments=arguments)

    @contextlib.contextmanager
    def halted_at(self, failpoint):
        """Starts the sidecar; the block runs while it is halted at "name:count", and then it goes on."""
        self.sidecar.start(failpoint=f"{failpoint}:halt")
        self.wait_until(self.sidecar.halted, failpoint)
        yield
        self.sidecar.go_on()

    # --- Copies ---------------------------------------------------------------------------------------------------

    def create(self, name, query, options=""):
        """Requests a copy; it fills as soon as a sidecar runs."""
        self.sql(f"SELECT anabranch.create_aggregate_table(%s, %s{options})", (name, query))

    def state(self, copy):
        """(state, sqlstate, reason) of a copy; ("unbound", None, None) before any sidecar has seen it."""
        rows = self.sql("SELECT state, sqlstate, reason FROM anabranch.progress WHERE copy = %s::regclass", (copy,))
        return rows[0] if rows else ("unbound", None, None)

    wait_until = staticmethod(wait_until)

    def wait_for_state(self, copy, *states, seconds=PATIENCE_SECONDS, tolerate=None):
        """Waits until the copy is in one of the states; fails at once when it has come to another final one, but for
        the one it may be leaving, `tolerate`."""
        deadline = time.monotonic() + seconds
        while True:
            state, sqlstate, reason = self.state(copy)
            if state in states:
                return state
            final = state in ("failed", "stale") and state != tolerate
            assert not final and time.monotonic() < deadline, f"copy {copy} is {state} ({sqlstate}: {reason}), not {' or '.join(states)}"
            time.sleep(0.02)

    def wait_live(self, *copies, seconds=PATIENCE_SECONDS):
        for copy in copies:
            self.wait_for_state(copy, "live", seconds=seconds)

    def wait_fresh(self, *copies, seconds=PATIENCE_SECONDS):
        """Waits until each copy shows everything that is committed now."""
        for copy in copies:
            self.sql("SELECT anabranch.wait_for(%s::regclass, timeout => %s)", (copy, f"{seconds} s"))

    def expect_current(self, copies):
        """`copies`: {name: query}. Waits for freshness, then demands equality. No writer may be active."""
        self.wait_live(*copies)
        self.wait_fresh(*copies)
        for copy, query in copies.items():
            expect_equal(self.connection, copy, query)

    # --- Load -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def load(self, script, clients=2):
        """pgbench with `script` in the background, started again whenever the server throws it out."""
        path = self.directory / f"load-{time.monotonic_ns()}.sql"
        path.write_text(script)
        pgbench = pathlib.Path(self.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'"), "pgbench")
        again = f"while kill -0 {os.getpid()}; do '{pgbench}' -n -c {clients} -j 1 -T 3600 -f '{path}'; sleep 0.05; done"
        with open(f"{path}.log", "w") as log:
            process = subprocess.Popen(
                ["bash", "-c", again], env=self.sidecar.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # What the server had received before is still carried out: only then is nobody writing.
        self.wait_until(
            lambda: self.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'") == 0,
            "the end of the load's sessions")
