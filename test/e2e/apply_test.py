"""The run of a source: what it does when something stands in its way, and the bounds it keeps to.

Method: each test brings one trouble about, under load where that matters, waits until it is over, and compares the copies
with their definitions as PostgreSQL computes them. Bounds (time, memory, WAL) are measured and demanded.
"""

import contextlib
import pathlib
import time

from rig import social

TWEETS_PER_USER = "SELECT user_id, count(*) AS tweets FROM tweets GROUP BY user_id"
LIKES_PER_USER = "SELECT user_id, count(*) AS likes FROM likes GROUP BY user_id"


def slot_positions(rig):
    """(C, P): what the slot has let go of, and what is recorded."""
    return rig.sql("""SELECT s.confirmed_flush_lsn - '0/0', h.lsn - '0/0' FROM anabranch.source AS h
                      JOIN pg_replication_slots AS s ON s.slot_name = h.slot""")[0]


def fill_slots(rig):
    return rig.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%\\_fill\\_%'")


def test_restart_waits_for_no_timeout(make_rig):
    """After kill -9 the server may hold slot and rows for the one that is gone: no timeout of the server's ends that here, and
    changes are applied nevertheless."""
    with make_rig(wal_sender_timeout="1h") as rig:
        social.prepare(rig)
        rig.sidecar.start()
        rig.wait_live(*social.COPIES)
        with rig.load(social.LOAD):
            for _ in range(5):
                rig.sidecar.kill()
                applied = rig.value("SELECT applied_transactions FROM anabranch.source")
                rig.sidecar.start()
                rig.wait_until(lambda: rig.value("SELECT applied_transactions FROM anabranch.source") > applied, "the first change")
        rig.expect_current(social.COPIES)
        rig.sidecar.stop()


def test_slot_never_runs_ahead_of_what_is_recorded(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    with rig.load(social.LOAD):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            confirmed, recorded = slot_positions(rig)
            assert confirmed <= recorded, (confirmed, recorded)
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()


def test_idle_database_moves_the_slot(rig):
    """WAL of a neighbour: nothing for us in it, and none of it may stay because of us."""
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    with contextlib.closing(rig.cluster.connect(dbname="postgres")) as neighbour, neighbour.cursor() as cursor:
        cursor.execute("CREATE TABLE busy AS SELECT repeat(md5(i::text), 10) FROM generate_series(1, 100000) AS i")
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
        written = cursor.fetchone()[0]
    rig.wait_until(lambda: slot_positions(rig)[0] >= written, "the slot to pass the neighbour's WAL")
    rig.sidecar.stop()


def test_changes_of_nobodys_tables_move_the_slot(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sql("CREATE TABLE unselected AS SELECT i FROM generate_series(1, 100000) AS i")
    rig.sql("UPDATE unselected SET i = i + 1")
    rig.wait_fresh(*social.COPIES)
    written = rig.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
    rig.wait_until(lambda: slot_positions(rig)[0] >= written, "the slot to pass them")
    rig.sidecar.stop()


def test_sidecar_that_was_replaced_records_nothing(make_rig):
    """A halted sidecar's place is taken; when it wakes it must end, and say why."""
    with make_rig(wal_sender_timeout="2s") as rig:
        social.prepare(rig)
        rig.sidecar.start()
        rig.wait_live(*social.COPIES)
        second = rig.another_sidecar()
        with rig.load(social.LOAD):
            rig.sidecar.halt()
            second.start()
            token = rig.value("SELECT token FROM anabranch.source")
            rig.wait_until(lambda: rig.value("SELECT token FROM anabranch.source") > token, "the second to take over")
            rig.sidecar.go_on()
            status = rig.sidecar.wait()
        assert status == 3, status
        assert "another sidecar has taken over" in rig.sidecar.log(), rig.sidecar.log_tail()
        rig.expect_current(social.COPIES)
        second.stop()


def test_second_sidecar_waits_for_the_first(rig):
    """It names the process that has the slot, and takes over when that is gone."""
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    second = rig.another_sidecar()
    second.start()
    rig.wait_until(lambda: "in use by process" in second.log(), "the second to say what it waits for")
    assert second.running() and rig.sidecar.running()
    rig.sidecar.kill()
    rig.wait_until(lambda: "applying" in second.log(), "the second to take over")
    rig.sql("INSERT INTO tweets (user_id) VALUES (1)")
    rig.expect_current(social.COPIES)
    second.stop()


def test_locked_copy_does_not_hold_up_the_others(rig):
    social.prepare(rig, {})
    copies = {"tweet_counts": TWEETS_PER_USER, "like_counts": LIKES_PER_USER}
    for name, query in copies.items():
        rig.create(name, query)
    rig.sidecar.start()
    rig.wait_live(*copies)
    state = rig.value("SELECT state::text FROM anabranch.definition WHERE copy = 'tweet_counts'::regclass")
    with rig.load(social.LOAD):
        with contextlib.closing(rig.session(autocommit=False)) as holder, holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {state} IN SHARE MODE")
            rig.wait_for_state("tweet_counts", "catching_up")
            applied = rig.value("SELECT applied_transactions FROM anabranch.source")
            rig.wait_until(lambda: rig.value("SELECT applied_transactions FROM anabranch.source") > applied + 20, "the other to go on")
            assert rig.state("like_counts")[0] == "live"
            holder.rollback()
        rig.wait_live(*copies)
    rig.expect_current(copies)
    rig.wait_until(lambda: fill_slots(rig) == 0, "the slots to be dropped")
    rig.sidecar.stop()


def test_open_drop_does_not_hold_up_the_others(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    with contextlib.closing(rig.session(autocommit=False)) as session, session.cursor() as cursor:
        cursor.execute("DROP VIEW user_activity")
        for user in range(1, 4):
            rig.sql("INSERT INTO tweets (user_id) VALUES (%s)", (user,))
            rig.wait_fresh("tweets_by_user")
        session.rollback()
    rig.expect_current(social.COPIES)
    with contextlib.closing(rig.session(autocommit=False)) as session, session.cursor() as cursor:
        cursor.execute("DROP VIEW user_activity")
        rig.sql("INSERT INTO tweets (user_id) VALUES (7)")
        rig.wait_fresh("tweets_by_user")
        session.commit()
    assert rig.value("SELECT count(*) FROM anabranch.progress") == len(social.COPIES) - 1
    rig.sql("INSERT INTO tweets (user_id) VALUES (8)")
    rig.expect_current({name: query for name, query in social.COPIES.items() if name != "user_activity"})
    assert rig.sidecar.running(), rig.sidecar.log_tail()
    rig.sidecar.stop()


def test_view_in_use_is_shown_once_it_is_free(rig):
    social.prepare(rig, {"like_counts": LIKES_PER_USER})
    rig.sidecar.start()
    rig.wait_live("like_counts")
    rig.create("tweet_counts", TWEETS_PER_USER)
    with contextlib.closing(rig.session(autocommit=False)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tweet_counts")
        rig.sql("INSERT INTO likes (user_id) VALUES (1)")
        rig.wait_fresh("like_counts")
        time.sleep(1)
        assert rig.state("tweet_counts")[0] != "live"
        assert rig.state("like_counts")[0] == "live"
        reader.rollback()
    rig.expect_current({"tweet_counts": TWEETS_PER_USER, "like_counts": LIKES_PER_USER})
    rig.sidecar.stop()


def test_cancelled_and_terminated_sessions(rig):
    """Whoever may cancel our statements or end our sessions costs us time and nothing else."""
    social.prepare(rig)
    rig.sidecar.start()
    with rig.load(social.LOAD):
        for attempt in range(30):
            how = "pg_terminate_backend" if attempt % 5 == 4 else "pg_cancel_backend"
            rig.sql(f"SELECT {how}(pid) FROM pg_stat_activity WHERE application_name LIKE 'anabranch%'")
            time.sleep(0.1)
    assert rig.sidecar.running(), rig.sidecar.log_tail()
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()


def test_paused_copy_is_let_go_when_it_keeps_too_much_wal(rig):
    social.prepare(rig)
    settings = pathlib.Path(f"{rig.log_path}.toml")
    settings.write_text('[source.home]\nwal_keep_limit = "64 MB"\n')
    settings.chmod(0o644)
    rig.sidecar.arguments = ["--config", str(settings)]
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sql("SELECT anabranch.pause('user_activity')")
    rig.wait_for_state("user_activity", "paused")
    paused_at = rig.value("SELECT lsn - '0/0' FROM anabranch.progress WHERE copy = 'user_activity'::regclass")
    rig.sql("CREATE TABLE filler AS SELECT repeat(md5(i::text), 30) AS filler FROM generate_series(1, 90000) AS i")
    rig.sql("INSERT INTO tweets (user_id) VALUES (1)")
    rig.wait_fresh("tweets_by_user")
    rig.wait_until(lambda: slot_positions(rig)[0] > paused_at, "the slot to go on without the paused copy")
    rig.sql("SELECT anabranch.resume('user_activity')")
    rig.expect_current(social.COPIES)
    rig.wait_until(lambda: fill_slots(rig) == 0, "the slots to be dropped")
    rig.sidecar.stop()


def test_stuck_copy_is_let_go_when_its_slot_keeps_too_much_wal(rig):
    social.prepare(rig, {})
    copies = {"tweet_counts": TWEETS_PER_USER, "like_counts": LIKES_PER_USER}
    for name, query in copies.items():
        rig.create(name, query)
    settings = pathlib.Path(f"{rig.log_path}.toml")
    settings.write_text('[source.home]\nwal_keep_limit = "64 MB"\n')
    settings.chmod(0o644)
    rig.sidecar.arguments = ["--config", str(settings)]
    rig.sidecar.start()
    rig.wait_live(*copies)
    state = rig.value("SELECT state::text FROM anabranch.definition WHERE copy = 'tweet_counts'::regclass")
    with contextlib.closing(rig.session(autocommit=False)) as holder, holder.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {state} IN SHARE MODE")
        rig.sql("INSERT INTO tweets (user_id) VALUES (1)")
        rig.wait_for_state("tweet_counts", "catching_up")
        rig.wait_until(lambda: fill_slots(rig) == 1, "the copy to have a slot of its own")
        rig.sql("CREATE TABLE filler AS SELECT repeat(md5(i::text), 30) AS filler FROM generate_series(1, 90000) AS i")
        # The sidecar's own slot reaches back less far only after a checkpoint has told it where to begin.
        rig.wait_until(lambda: rig.sql("CHECKPOINT; SELECT 1") and "keeps more WAL than wal_keep_limit" in rig.sidecar.log(),
                       "the copy to be let go")
        # It is said before it is done.
        rig.wait_until(lambda: rig.value("""SELECT coalesce(max(pg_current_wal_lsn() - restart_lsn), 0) < 64 << 20 FROM pg_replication_slots
                                            WHERE slot_name ~ '_fill_'"""), "its slot to keep the WAL no more")
        rig.sql("INSERT INTO likes (user_id) VALUES (1)")
        rig.wait_fresh("like_counts")
        holder.rollback()
    rig.wait_live(*copies)
    assert rig.sidecar.log().count("applying (") == 1, "the session was lost over it"
    rig.expect_current(copies)
    rig.wait_until(lambda: fill_slots(rig) == 0, "the slots to be dropped")
    rig.sidecar.stop()


def test_paused_copy_keeps_its_wal_below_the_limit(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sql("SELECT anabranch.pause('user_activity')")
    rig.wait_for_state("user_activity", "paused")
    rig.sql("INSERT INTO tweets (user_id) SELECT 1 + i % 1000 FROM generate_series(1, 5000) AS i")
    rig.wait_fresh("tweets_by_user")
    time.sleep(2)
    paused_at = rig.value("SELECT lsn - '0/0' FROM anabranch.progress WHERE copy = 'user_activity'::regclass")
    assert slot_positions(rig)[0] <= paused_at
    filled_at = rig.value("SELECT fill_started_at FROM anabranch.progress WHERE copy = 'user_activity'::regclass")
    rig.sql("SELECT anabranch.resume('user_activity')")
    rig.expect_current(social.COPIES)
    assert filled_at == rig.value("SELECT fill_started_at FROM anabranch.progress WHERE copy = 'user_activity'::regclass"), "filled anew"
    rig.sidecar.stop()


def test_large_transaction_in_bounded_memory(rig):
    """One transaction of a million rows: at most 150 MB resident, and applied whole."""
    social.prepare(rig, {"tweet_counts": "SELECT user_id, tweet_id % 1000 AS part, count(*) AS tweets FROM tweets GROUP BY 1, 2"})
    rig.sidecar.start()
    rig.wait_live("tweet_counts")
    before = rig.value("SELECT sum(tweets) FROM tweet_counts")
    rig.sql("INSERT INTO tweets (user_id, body) SELECT i % 5000, 'row ' || i FROM generate_series(1, 1000000) AS i")
    deadline = time.monotonic() + 180
    while (shown := rig.value("SELECT sum(tweets) FROM tweet_counts")) != before + 1_000_000:
        assert shown == before, f"torn: {shown - before} of its rows"
        assert time.monotonic() < deadline, "not applied in 180 s"
        time.sleep(0.1)
    status = pathlib.Path(f"/proc/{rig.sidecar.process.pid}/status").read_text()
    peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    assert peak_mb <= 150, f"{peak_mb:.0f} MB"
    rig.sidecar.stop()


def test_stop_in_the_middle_of_a_large_transaction(rig):
    """SIGTERM ends it within a bound, and nothing of the transaction shows."""
    social.prepare(rig, {"tweet_counts": "SELECT tweet_id, count(*) AS tweets FROM tweets GROUP BY 1"})
    rig.sidecar.start()
    rig.wait_live("tweet_counts")
    rig.sql("INSERT INTO tweets (user_id, body) SELECT i % 5000, 'row ' || i FROM generate_series(1, 500000) AS i")
    time.sleep(1.5)
    rig.sidecar.stop()
    rig.sidecar.start()
    rig.expect_current({"tweet_counts": "SELECT tweet_id, count(*) AS tweets FROM tweets GROUP BY 1"})
    rig.sidecar.stop()


def test_truncate_while_filling(rig):
    social.prepare(rig, {})
    rig.sql("INSERT INTO tweets (user_id, body) SELECT i % 1000, 'row ' || i FROM generate_series(1, 300000) AS i")
    rig.sidecar.start()
    rig.create("tweet_counts", TWEETS_PER_USER)
    rig.wait_until(lambda: rig.value("SELECT coalesce(sum(fill_rows), 0) FROM anabranch.progress") > 0, "the fill to begin")
    rig.sql("TRUNCATE tweets")
    rig.sql("INSERT INTO tweets (user_id, body) SELECT i % 1000, 'row ' || i FROM generate_series(1, 3000) AS i")
    rig.expect_current({"tweet_counts": TWEETS_PER_USER})
    rig.wait_until(lambda: fill_slots(rig) == 0, "the slots to be dropped")
    rig.sidecar.stop()


def test_copy_dropped_while_filling(rig):
    """Its slot goes with it."""
    social.prepare(rig)
    rig.sql("INSERT INTO tweets (user_id, body) SELECT i % 1000, 'row ' || i FROM generate_series(1, 200000) AS i")
    rig.sidecar.start()
    rig.create("tweet_counts", TWEETS_PER_USER)
    rig.wait_until(lambda: fill_slots(rig) > 0, "a fill")
    rig.sql("SELECT anabranch.drop_aggregate_table('tweet_counts')")
    rig.expect_current(social.COPIES)
    rig.wait_until(lambda: fill_slots(rig) == 0, "the slot to be dropped")
    rig.sidecar.stop()


def test_many_copies_fill_at_once(rig):
    """More than there are workers: each has its turn, and the live one never waits."""
    social.prepare(rig, {"like_counts": LIKES_PER_USER})
    rig.sidecar.start()
    rig.wait_live("like_counts")
    copies = {f"copy_{n}": f"SELECT user_id % {n + 2} AS part, count(*) AS tweets FROM tweets GROUP BY 1" for n in range(6)}
    with rig.load(social.LOAD):
        for name, query in copies.items():
            rig.create(name, query)
        rig.wait_live(*copies)
    rig.expect_current({**copies, "like_counts": LIKES_PER_USER})
    rig.wait_until(lambda: fill_slots(rig) == 0, "the slots to be dropped")
    rig.sidecar.stop()


def test_failing_copy_stands_at_the_transaction_before(rig):
    """Of a batch that fails for one copy, that copy holds what came before the transaction that fails, and says which."""
    social.prepare(rig, {"like_counts": LIKES_PER_USER})
    rig.create("risky", "SELECT user_id, sum(1000 / (user_id + 1)) AS share FROM tweets GROUP BY user_id")
    rig.sidecar.start()
    rig.wait_live("like_counts", "risky")
    rig.sidecar.stop()
    for user in range(50):
        rig.sql("INSERT INTO tweets (user_id) VALUES (%s)", (5000 + user,))
    rig.sql("INSERT INTO tweets (user_id) VALUES (-1)")
    failing = rig.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
    rig.sql("INSERT INTO tweets (user_id) VALUES (6000)")
    rig.sidecar.start()
    rig.wait_for_state("risky", "failed")
    assert rig.state("risky")[1] == "22012", rig.state("risky")
    assert rig.value("SELECT count(*) FROM risky WHERE user_id >= 5000") == 50
    assert rig.value("SELECT failed_lsn - '0/0' FROM anabranch.progress WHERE copy = 'risky'::regclass") <= failing
    rig.expect_current({"like_counts": LIKES_PER_USER})
    rig.sql("DELETE FROM tweets WHERE user_id = -1")
    rig.sql("SELECT anabranch.resume('risky')")
    rig.wait_for_state("risky", "live", tolerate="failed")
    rig.expect_current({"risky": "SELECT user_id, sum(1000 / (user_id + 1)) AS share FROM tweets GROUP BY user_id"})
    rig.sidecar.stop()
