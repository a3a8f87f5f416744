"""The log is not what it was: a standby was promoted, a backup restored, a slot dropped, invalidated or advanced.

Method: each is done to a server whose copies are live, and rows are written that no slot has kept. The sidecar has to say by name what
is missing, must never go on from there in silence, and copies stay readable as they were; anabranch.rebuild then makes each equal to
its definition again.
"""

import contextlib

from rig import Unavailable, needs, social


def begin(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.expect_current(social.COPIES)


def write_more(rig):
    rig.sql("INSERT INTO tweets (user_id, body) SELECT 1 + i % 9, 'unheard' FROM generate_series(1, 100) AS i; DELETE FROM likes WHERE like_id % 10 = 0")


def refuses(rig, *words):
    """The sidecar ends by itself, and has said why."""
    rig.sidecar.start()
    status = rig.sidecar.wait(60)
    assert status in (1, 4), f"it ended with {status}:\n{rig.sidecar.log_tail()}"
    for word in words:
        assert word in rig.sidecar.log_tail(), f'"{word}" is not said:\n{rig.sidecar.log_tail()}'


def comes_back(rig, *words):
    """Copies are stale for the reason, readable, and exact when they have been rebuilt."""
    counts = {copy: rig.value(f"SELECT count(*) FROM {copy}") for copy in social.COPIES}
    rig.sidecar.start()
    for copy in social.COPIES:
        rig.wait_for_state(copy, "stale")
        for word in words:
            assert word in rig.state(copy)[2], f'"{word}" is not in the reason: {rig.state(copy)[2]}'
    write_more(rig)
    assert counts == {copy: rig.value(f"SELECT count(*) FROM {copy}") for copy in social.COPIES}, "what was read before stays"
    assert rig.value("SELECT min(remedy) FROM anabranch.status WHERE kind = 'copy'").startswith("SELECT anabranch.rebuild(")
    for copy in social.COPIES:
        rig.sql("SELECT anabranch.rebuild(%s)", (copy,))
    for copy in social.COPIES:
        rig.wait_for_state(copy, "live", tolerate="stale")
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()


@needs(seconds=60)
def test_a_standby_is_promoted(rig):
    begin(rig)
    with rig.standby() as standby:
        with rig.load(social.LOAD):
            rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'anabranch'") >= 1,
                           "the standby to stream")
            rig.wait_fresh(*social.COPIES)
        with contextlib.closing(standby.connect(dbname=rig.dbname)) as reading, reading.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM user_activity")
            assert cursor.fetchone()[0] >= 1000, "copies are read on the standby as well"
        rig.sidecar.kill()
        rig.cluster.kill()
        standby.promote()
        both = f"{rig.cluster.socket},{standby.socket}"
        rig.move_to(standby)
        rig.sidecar.environment.update(PGHOST=both, PGTARGETSESSIONATTRS="read-write")  # whoever leads
        assert rig.value("SELECT count(*) FROM user_activity") >= 1000
        write_more(rig)
        refuses(rig, 'replication slot "anabranch_app" does not exist', "This server was promoted: it is on timeline 2", "anabranch init")
        assert rig.value("SELECT count(*) FROM anabranch.progress WHERE state = 'live'") == 2, "nothing was begun"
        write_more(rig)
        rig.init()
        write_more(rig)
        comes_back(rig, "the changes between", "are lost", "anabranch.rebuild")
        assert rig.value("SELECT timeline FROM anabranch.source") == 2


def set_and_reload(cluster, dbname, **settings):
    with contextlib.closing(cluster.connect(dbname=dbname)) as session, session.cursor() as cursor:
        for name, value in settings.items():
            cursor.execute(f"ALTER SYSTEM SET {name} = %s", (value,))
        cursor.execute("SELECT pg_reload_conf()")


def follow_with_slots(rig, standby):
    """The settings of docs/operations.md, of both servers; waits until the standby has the slot."""
    rig.sql("SELECT pg_create_physical_replication_slot('standby1', true)")
    set_and_reload(standby, rig.dbname, primary_conninfo=f"host={rig.cluster.socket} port=5432 user=postgres dbname={rig.dbname}",
                   primary_slot_name="standby1", hot_standby_feedback="on", sync_replication_slots="on")
    rig.wait_until(lambda: rig.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'standby1'"), "the standby to use its slot")
    set_and_reload(rig.cluster, rig.dbname, synchronized_standby_slots="standby1")
    with contextlib.closing(standby.connect(dbname=rig.dbname)) as reading, reading.cursor() as cursor:
        def has_slot():
            cursor.execute("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'anabranch_app' AND synced AND NOT temporary")
            return cursor.fetchone()[0] == 1
        rig.wait_until(has_slot, "the slot to be on the standby")


@needs(seconds=90)
def test_a_standby_that_has_the_slot_is_promoted(rig):
    """From 17 on: the sidecar goes on exactly, on the new primary, in the midst of a load, and nothing is filled anew."""
    if rig.connection.server_version < 170000:
        raise Unavailable("PostgreSQL 17 is the first to carry slots over to a standby")
    begin(rig)
    assert rig.value("SELECT failover FROM pg_replication_slots WHERE slot_name = 'anabranch_app'"), "init makes it so"
    states = "SELECT array_agg(state ORDER BY copy) FROM anabranch.definition"
    filled = rig.value(states)
    with rig.standby() as standby:
        follow_with_slots(rig, standby)
        confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'anabranch_app'"
        with contextlib.closing(standby.connect(dbname=rig.dbname)) as reading, reading.cursor() as cursor:
            cursor.execute(confirmed)
            before = cursor.fetchone()[0]
            with rig.load(social.LOAD):
                def has_moved():
                    cursor.execute(confirmed + " AND confirmed_flush_lsn > %s", (before,))
                    return cursor.fetchone() is not None
                rig.wait_until(has_moved, "the slot to follow on the standby")
                rig.wait_fresh(*social.COPIES)
                rig.sidecar.kill()
                rig.cluster.kill()
                standby.promote()
                rig.move_to(standby)
        assert rig.value("SELECT synced AND failover FROM pg_replication_slots WHERE slot_name = 'anabranch_app'")
        # The standby that the old primary waited for is this server.
        set_and_reload(standby, rig.dbname, synchronized_standby_slots="")
        write_more(rig)
        rig.sidecar.start()
        rig.expect_current(social.COPIES)
        with rig.load(social.LOAD):
            rig.wait_fresh(*social.COPIES)
        rig.expect_current(social.COPIES)
        assert rig.value(states) == filled, "nothing was filled anew"
        assert rig.value("SELECT timeline FROM anabranch.source") == 2
        rig.sidecar.stop()


@needs(seconds=60)
def test_a_clone_and_an_older_backup(rig):
    """A copy of the server as it was then: the original goes on, the copy has no slot."""
    begin(rig)
    with rig.clone() as (clone, _):
        write_more(rig)
        rig.expect_current(social.COPIES)
        rig.sidecar.stop()
        rig.cluster.stop()
        original = rig.cluster
        rig.move_to(clone)
        write_more(rig)
        refuses(rig, 'replication slot "anabranch_app" does not exist', "restored from a backup", "anabranch init")
        rig.init()
        comes_back(rig, "the changes between", "are lost")
        rig.move_to(original)
        original.start()
        rig.sidecar.start()
        write_more(rig)
        rig.expect_current(social.COPIES)
        rig.sidecar.stop()


@needs(seconds=45)
def test_the_slot_is_dropped(rig):
    begin(rig)
    rig.sidecar.stop()
    rig.sql("SELECT pg_drop_replication_slot('anabranch_app')")
    write_more(rig)
    refuses(rig, 'replication slot "anabranch_app" does not exist', "It was dropped")
    rig.init()
    comes_back(rig, "the changes between", 'replication slot "anabranch_app" was made anew or moved by hand')


@needs(seconds=45)
def test_the_slot_is_advanced_by_hand(rig):
    begin(rig)
    rig.sidecar.stop()
    write_more(rig)
    rig.sql("SELECT pg_replication_slot_advance('anabranch_app', pg_current_wal_lsn())")
    comes_back(rig, "the changes between", 'replication slot "anabranch_app" was made anew or moved by hand')


@needs(seconds=60)
def test_the_slot_is_invalidated(make_rig):
    with make_rig(max_slot_wal_keep_size="1MB", max_wal_size="32MB", wal_keep_size="0") as rig:
        begin(rig)
        rig.sidecar.stop()
        write_more(rig)
        for _ in range(5):
            rig.sql("SELECT pg_switch_wal()")
            rig.sql("CREATE TABLE filler AS SELECT repeat(md5(i::text), 60) FROM generate_series(1, 10000) AS i; DROP TABLE filler; CHECKPOINT")
        assert rig.value("SELECT wal_status FROM pg_replication_slots") == "lost"
        refuses(rig, 'replication slot "anabranch_app" has lost WAL it still needed', "pg_drop_replication_slot")
        rig.sql("SELECT pg_drop_replication_slot('anabranch_app')")
        rig.init()
        comes_back(rig, "the changes between", "are lost")


@needs(seconds=45)
def test_files_of_another_time(rig):
    """What no server does by itself: its WAL ends before what the copies have. Position and rows are of different files."""
    begin(rig)
    rig.sidecar.stop()
    rig.sql("UPDATE anabranch.source SET lsn = lsn + 1000000000")
    comes_back(rig, "the WAL of this server ends at")
