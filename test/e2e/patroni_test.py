"""The recipe of docs/operations.md for Patroni: its settings and its callback as they stand there, with the names of this database."""

import contextlib
import pathlib
import re
import threading
import time

import psycopg2

from rig import needs, social
from rig.patroni import Patroni, need_patroni
from rig.sidecar import PROGRAM

OPERATIONS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def recipe():
    """(what the cluster shares, what each member has of its own, the callback's text)"""
    import yaml

    text = OPERATIONS.read_text()
    text = text[text.index("**PostgreSQL 15 and 16**"):text.index("**PostgreSQL 17 and later**")]
    shared, own = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S))
    callback = next(block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if block.startswith("#!/bin/sh"))
    return shared, own, callback


def callback_of(member, text, dbname, bin_directory):
    """The callback for this member: its program, its server, its database."""
    where = f"host={member.socket} port={member.port} user=postgres dbname={dbname}"
    path = pathlib.Path(member.path, "anabranch-role")
    for ours, theirs in [("anabranch init -d shop", f"'{PROGRAM}' init -d '{where}'"), ("psql -XAt -d shop", f"'{bin_directory}/psql' -XAt -d '{where}'")]:
        assert ours in text, ours
        text = text.replace(ours, theirs)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@contextlib.contextmanager
def kept_running(sidecar):
    """The service: started again whenever it ends."""
    ended = threading.Event()

    def keep():
        while not ended.is_set():
            if not sidecar.running():
                if sidecar.process is not None:
                    sidecar.wait()
                sidecar.start()
            time.sleep(0.2)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sidecar.kill()


@needs(seconds=90, alone=True)  # whoever is kept from the processor for long loses the lead
def test_failed_leader_is_replaced(rig):
    need_patroni()
    social.prepare(rig)
    rig.sidecar.start()
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()
    bin_directory = rig.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
    rig.cluster.stop()
    shared, own, callback = recipe()

    def own_of(member):
        path = callback_of(member, callback, rig.dbname, bin_directory)
        return {"callbacks": {action: path for action in own["postgresql"]["callbacks"]}}

    with Patroni(rig.cluster, bin_directory, shared, own_of) as patroni:
        first, second = patroni.members
        rig.move_to(first)
        rig.sidecar.environment.update(
            PGHOST=f"{first.socket},{second.socket}", PGPORT=f"{first.port},{second.port}", PGTARGETSESSIONATTRS="read-write")
        slot = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'anabranch_app'"
        time.sleep(5)  # some rounds of Patroni, while nobody reads the slot
        assert rig.value(slot) == 1, "Patroni leaves the slot alone"
        with kept_running(rig.sidecar):
            rig.expect_current(social.COPIES)
            with rig.load(social.LOAD):
                rig.wait_fresh(*social.COPIES)
                first.kill()
                rig.wait_until(second.leads, lambda: f"the second member to lead\n{second.patroni_log()[-3000:]}")
                rig.cluster = second
                rig.wait_until(lambda: rig.value(slot) == 1, lambda: f"the callback to make the slot\n{second.patroni_log()[-3000:]}")
            for copy in social.COPIES:
                rig.wait_for_state(copy, "stale")
                assert "are lost" in rig.state(copy)[2], rig.state(copy)
                assert rig.value(f"SELECT count(*) FROM {copy}") >= 1000, "what was read before stays"
            rig.sql("SELECT anabranch.rebuild(copy) FROM anabranch.copies WHERE state = 'stale'")
            for copy in social.COPIES:
                rig.wait_for_state(copy, "live", tolerate="stale")
            rig.expect_current(social.COPIES)
            # The lost one comes back as a standby: its slot goes, the copies go on.
            patroni.start(first)
            with rig.load(social.LOAD):
                def follows_without_slots():
                    try:
                        with contextlib.closing(first.connect(dbname=rig.dbname)) as session, session.cursor() as cursor:
                            cursor.execute("SELECT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE plugin = 'anabranch_decoder')")
                            return cursor.fetchone()[0]
                    except psycopg2.OperationalError:
                        return False  # it is still being rewound, or copied
                rig.wait_until(follows_without_slots, lambda: f"the first member to follow\n{first.patroni_log()[-3000:]}")
            rig.expect_current(social.COPIES)
