"""Two servers under Patroni, and a third vote: whoever leads is replaced when it is lost."""

import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess

import psycopg2

from rig.servers import Unavailable
from rig.cluster import Cluster
from rig.ports import free_ports
from rig.waiting import wait_until

SCOPE = "anabranch"
# Patroni's own, but for its pace. A leader that is lost is replaced in half a minute.
TIMES = {"ttl": 30, "loop_wait": 1, "retry_timeout": 10}


def need_patroni():
    """Unavailable where it is not installed."""
    missing = [program for program in ("patroni", "patroni_raft_controller") if shutil.which(program) is None]
    missing += [module for module in ("yaml", "pysyncobj") if importlib.util.find_spec(module) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)} not installed (Debian: patroni, python3-pysyncobj)")


class Member(Cluster):
    """A server that Patroni starts and stops, with the face of any other."""

    def __init__(self, path, ports):
        self.path = str(path)
        self.socket = f"{path}/socket"
        self.port, self.rest_port, self.raft_port = ports
        self.process = None

    def patroni_log(self):
        return pathlib.Path(self.path, "patroni.log").read_text(errors="replace")

    def kill(self):
        """kill -9 of the server and of what watches over it, as when a machine is lost."""
        self.kill_patroni()
        super().kill()

    def kill_patroni(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def leads(self):
        with contextlib.suppress(psycopg2.OperationalError), contextlib.closing(self.connect()) as session, session.cursor() as cursor:
            cursor.execute("SELECT NOT pg_is_in_recovery()")
            return cursor.fetchone()[0]
        return False


class Patroni:
    """A context manager. The first member takes over a cluster that exists and has been stopped; the second becomes its standby.

    `shared`: what "patronictl edit-config" would be given; `own(member)`: the part "postgresql" of a member's file.
    """

    def __init__(self, cluster, bin_directory, shared, own):
        self._user = cluster.server_user()
        self._bin = bin_directory
        self._shared, self._own = shared, own
        ports = free_ports(7)
        self._vote, self._vote_port = None, ports.pop()
        self.members = [Member(cluster.path, ports[:3]), Member(f"{cluster.path}-member2", ports[3:])]

    def __enter__(self):
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self):
        first, second = self.members
        self._make_directory(second.path)
        self._make_directory(second.socket)
        self._vote = self._start("patroni_raft_controller", first.path, "vote", {"raft": self._raft(first.path, "vote", self._vote_port)})
        self.start(first)
        wait_until(first.leads, lambda: f"the first member to lead\n{first.patroni_log()[-3000:]}")
        self.start(second)
        with contextlib.closing(first.connect()) as session, session.cursor() as cursor:
            def streams():
                cursor.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = 'member2'")
                return cursor.fetchone()[0] == 1
            wait_until(streams, lambda: f"the second member to stream\n{second.patroni_log()[-3000:]}")

    def __exit__(self, *_):
        for member in self.members:
            member.kill()
        if self._vote is not None:
            os.killpg(self._vote.pid, signal.SIGKILL)
            self._vote.wait()
        self.members[1].destroy()

    def start(self, member):
        member.process = self._start("patroni", member.path, "patroni", self._configuration(member))

    def _make_directory(self, path):
        pathlib.Path(path).mkdir(exist_ok=True)
        shutil.chown(path, self._user)

    def _start(self, program, directory, name, configuration):
        file = pathlib.Path(directory, f"{name}.yml")
        file.write_text(json.dumps(configuration))  # JSON is YAML
        as_user = ["runuser", "-u", self._user, "--"] if os.getuid() == 0 else []
        with open(pathlib.Path(directory, f"{name}.log"), "ab") as log:
            return subprocess.Popen([*as_user, program, file], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _raft(self, directory, name, port):
        partners = {self._vote_port, *(member.raft_port for member in self.members)} - {port}
        self._make_directory(f"{directory}/raft-{name}")
        return {"data_dir": f"{directory}/raft-{name}", "self_addr": f"127.0.0.1:{port}", "partner_addrs": [f"127.0.0.1:{each}" for each in sorted(partners)]}

    def _configuration(self, member):
        number = self.members.index(member) + 1
        own = self._own(member)
        return {
            "scope": SCOPE,
            "name": f"member{number}",
            "restapi": {"listen": f"127.0.0.1:{member.rest_port}", "connect_address": f"127.0.0.1:{member.rest_port}"},
            "raft": self._raft(member.path, "member", member.raft_port),
            "bootstrap": {"dcs": {**TIMES, **self._shared}},
            "postgresql": {
                **own,
                "listen": f"127.0.0.1:{member.port}",
                "connect_address": f"127.0.0.1:{member.port}",
                "data_dir": f"{member.path}/data",
                "bin_dir": self._bin,
                "pgpass": f"{member.path}/pgpass",
                "use_unix_socket": True,
                # A leader that was killed had written what no standby received: it is made anew.
                "remove_data_directory_on_diverged_timelines": True,
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "postgres"}},
                "parameters": {**own.get("parameters", {}), "unix_socket_directories": member.socket},
            },
        }
