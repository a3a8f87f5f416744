"""Verification and repair: no false alarm and no missed difference while writers and the stream go on.

Method: copies are verified again and again under load, and every verdict must be that nothing differs. Then damage is done to the
state tables behind everybody's back, of every kind, in groups that the load writes to as well: each fault must be found, classed and
put right, and the copies be equal to their definitions at the end, as PostgreSQL computes them.
"""

import contextlib
import itertools
import os
import threading
import time

import psycopg2

from rig import needs, social
from rig.standby import hanging_commit
from rig.through_kafka import ThroughKafka

# Comparisons of keys under load; a million on demand.
COMPARISONS = int(os.environ.get("ANABRANCH_COMPARISONS", "20000"))
# Repairs of groups under load; 100,000 on demand.
RACES = int(os.environ.get("ANABRANCH_REPAIR_RACES", "1000"))

COPIES = {
    **social.COPIES,
    "by_day": "SELECT user_id % 50 AS day, count(*) AS tweets, sum(length(body)) AS letters FROM tweets GROUP BY 1",
    "names": "SELECT user_id % 400 AS part, count(*) AS users FROM users GROUP BY 1",
    "images": "SELECT user_id % 10 AS u, tweet_id % 5 AS t FROM likes_log WHERE user_id % 3 > 0",
}
# Rows move between groups, five of them hot.
LOAD = social.LOAD + """
UPDATE tweets SET user_id = 1 + tweet_id % 5 WHERE tweet_id = :a * 3;
INSERT INTO likes_log VALUES (:a, :b);
INSERT INTO users VALUES (1000 + :a * :b, 'new ' || :a) ON CONFLICT DO NOTHING;
DELETE FROM likes_log WHERE ctid = (SELECT max(ctid) FROM likes_log WHERE user_id = :b);
"""


def prepare(rig, copies=None):
    rig.sql("CREATE TABLE likes_log (user_id int, tweet_id int); ALTER TABLE likes_log REPLICA IDENTITY FULL")
    social.prepare(rig, copies or COPIES)
    rig.sidecar.start()
    rig.wait_live(*(copies or COPIES))


def verify(rig, copy, **how):
    """Asks for a run; its number."""
    how = {"duty": 1, **how}
    return rig.value(f"SELECT anabranch.verify(%s{''.join(f', {name} => %s' for name in how)})", (copy, *how.values()))


def wait_ended(rig, *runs, seconds=300):
    rig.wait_until(
        lambda: rig.value("SELECT count(*) FROM anabranch.verification WHERE run = ANY (%s) AND state IN ('queued', 'running')", (list(runs),)) == 0,
        f"verifications {runs}", seconds)


def verdict(rig, run):
    """(state, compared, differing, what else is said)"""
    return rig.sql("SELECT state, keys_compared, differing, coalesce(reason, verdict) FROM anabranch.verifications WHERE run = %s", (run,))[0]


def expect_equal_verdicts(rig, runs):
    for run in runs:
        state, _, differing, words = verdict(rig, run)
        assert (state, differing) == ("done", 0), (run, state, words, rig.sql(
            "SELECT class, key, expected, actual FROM anabranch.differences WHERE run = %s LIMIT 5", (run,)))
        assert words.startswith(("equal to its definition at LSN ", "its sums are those of its definition at LSN ")), words


@contextlib.contextmanager
def long_transactions(rig):
    """Beside the load: transactions that stay open over many comparisons, with savepoints; prepared ones; changes of the whole table."""
    stop, wrong = threading.Event(), []

    def work():
        with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
            for number in itertools.count():
                if stop.is_set():
                    return
                try:
                    cursor.execute("BEGIN; INSERT INTO tweets (user_id, body) SELECT i % 7, 'long' FROM generate_series(1, 50) AS i; SAVEPOINT s; "
                                   "UPDATE tweets SET body = 'gone' WHERE user_id = 3; ROLLBACK TO s; UPDATE likes SET tweet_id = 1 WHERE user_id = 5")
                    stop.wait(1)
                    if number % 2:
                        cursor.execute(f"PREPARE TRANSACTION 'long {number}'")
                        stop.wait(0.3)
                        cursor.execute(f"COMMIT PREPARED 'long {number}'")
                    else:
                        began = time.monotonic()
                        cursor.execute("UPDATE tweets SET body = body || '.' WHERE tweet_id % 2 = 0; COMMIT")
                        # The table grows; what changes all of it must leave the copies the time to follow.
                        stop.wait(10 * (time.monotonic() - began))
                except psycopg2.errors.DeadlockDetected:
                    cursor.execute("ROLLBACK")
                except psycopg2.Error as error:
                    wrong.append(error)
                    return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not wrong, wrong


@needs(seconds=60)
def test_no_false_alarm_under_load(make_rig):
    with make_rig(max_prepared_transactions=5) as rig:
        expect_no_false_alarm(rig)


def expect_no_false_alarm(rig):
    prepare(rig)
    compared = 0
    # Paced: a machine that cannot keep up verifies nothing.
    with rig.load(LOAD + "\\sleep 20 ms\n", clients=16), long_transactions(rig):
        while compared < COMPARISONS:
            runs = [verify(rig, copy, mode=mode) for copy in COPIES for mode in ("full", "sketch", "full")]
            wait_ended(rig, *runs, seconds=1800)  # the tables grow
            expect_equal_verdicts(rig, runs)
            compared += sum(verdict(rig, run)[1] for run in runs)
    print(f"{compared} keys compared under load, no false alarm")
    rig.expect_current(COPIES)
    rig.sidecar.stop()


DAMAGE = [
    "UPDATE anabranch_data.user_activity SET anabranch_rows = anabranch_rows + 1 WHERE user_id % 101 = 1",
    "UPDATE anabranch_data.user_activity SET anabranch_s1 = anabranch_s1 + 7 WHERE user_id % 103 = 2",
    "INSERT INTO anabranch_data.user_activity SELECT (jsonb_populate_record(s, jsonb_build_object('user_id', -s.user_id))).* "
    "FROM anabranch_data.user_activity AS s WHERE user_id % 109 = 4",
    # Nothing is ever taken from these groups: a group that is missing and has rows taken from it is noticed at once.
    "DELETE FROM anabranch_data.names WHERE part % 107 = 3",
    "UPDATE anabranch_data.by_day SET anabranch_s1 = anabranch_s1 - 1 WHERE day % 11 = 1",
    "UPDATE anabranch_data.tweets_by_user SET body = body || '!' WHERE tweet_id % 113 = 0",
    "DELETE FROM anabranch_data.tweets_by_user WHERE tweet_id % 127 = 0",
    "INSERT INTO anabranch_data.tweets_by_user SELECT user_id, -tweet_id, body, anabranch_key || '\\x00' "
    "FROM anabranch_data.tweets_by_user WHERE tweet_id % 131 = 0",
    "UPDATE anabranch_data.images SET anabranch_rows = anabranch_rows + 1 WHERE u = 2",
]


def do_damage(rig, rng, statements=DAMAGE):
    for statement in rng.sample(statements, len(statements)):
        rig.sql(statement)


@needs(seconds=60)
def test_damage_is_found_and_repaired_under_load(rig, rng):
    prepare(rig)
    rig.sql("INSERT INTO likes_log SELECT i % 30, i FROM generate_series(1, 300) AS i")
    rig.wait_fresh(*COPIES)
    with rig.load(LOAD, clients=4):
        time.sleep(1)
        do_damage(rig, rng)
        found = [verify(rig, copy) for copy in COPIES]
        wait_ended(rig, *found)
        classes = dict(rig.sql("SELECT copy::text || ' ' || class, count(*) FROM anabranch.differences WHERE run = ANY (%s) GROUP BY 1", (found,)))
        # A group that is missing and written to is there again, with other contents.
        assert classes.get("names missing") or classes.get("names wrong"), classes
        for expected in ["user_activity wrong", "user_activity extra", "by_day wrong", "tweets_by_user wrong",
                         "tweets_by_user missing", "tweets_by_user extra", "images wrong"]:
            assert classes.get(expected), (expected, classes)
        repairs = [rig.value("SELECT anabranch.repair(%s)", (run,)) for run in found]
        assert None not in repairs
        wait_ended(rig, *repairs)
        for run in repairs:
            state, _, _, words = verdict(rig, run)
            assert state == "done" and (words.endswith("all of them repaired") or words.startswith("equal")), (run, state, words)
        left = [verify(rig, copy) for copy in COPIES]
        wait_ended(rig, *left)
        expect_equal_verdicts(rig, left)
    rig.expect_current(COPIES)
    repaired = rig.sql("SELECT count(*), count(*) FILTER (WHERE repaired_at IS NULL OR repaired_lsn IS NULL) FROM anabranch.differences WHERE run = ANY (%s)", (repairs,))
    assert repaired[0][0] > 20 and repaired[0][1] == 0, repaired
    # Again: nothing is left, and nothing is done.
    assert rig.value("SELECT anabranch.repair(%s)", (repairs[0],)) is None
    rig.sidecar.stop()


def test_many_differences(rig):
    """Each of 10,000 keys is repaired, however large their share; of more none is, and both ways of asking say what to do instead."""
    prepare(rig)
    rig.sql("INSERT INTO tweets (user_id, body) SELECT 1, 'more ' || i FROM generate_series(1, 10000) AS i")
    rig.wait_fresh("tweets_by_user")

    def damage(condition):
        rig.sql(f"UPDATE anabranch_data.tweets_by_user SET body = body || '!' WHERE {condition}")
        run = verify(rig, "tweets_by_user")
        wait_ended(rig, run)
        return run

    run = damage("body LIKE 'MORE %' AND tweet_id % 2 = 0")
    assert verdict(rig, run)[2] == 5000, verdict(rig, run)
    repair = rig.value("SELECT anabranch.repair(%s)", (run,))
    wait_ended(rig, repair)
    state, _, differing, words = verdict(rig, repair)
    assert (state, differing) == ("done", 5000) and words.endswith("all of them repaired"), (state, differing, words)
    run = damage("true")
    assert verdict(rig, run)[2] > 10_000, verdict(rig, run)
    error = rig.sql_error(f"SELECT anabranch.repair({run})")
    assert "too many to be repaired one by one" in error.diag.message_primary, error
    assert "SELECT anabranch.rebuild('public.tweets_by_user')" in error.diag.message_hint, error
    run = verify(rig, "tweets_by_user", repair=True)
    wait_ended(rig, run)
    state, _, _, words = verdict(rig, run)
    assert state == "failed" and "SELECT anabranch.rebuild('public.tweets_by_user')" in words, (state, words)
    rig.sql("SELECT anabranch.rebuild('tweets_by_user')")
    rig.wait_until(lambda: not rig.value("SELECT EXISTS (SELECT FROM anabranch.verification WHERE state IN ('queued', 'running'))"), "the rebuild")
    rig.expect_current(COPIES)
    rig.sidecar.stop()


@needs(seconds=45)
def test_many_keys_are_repaired_under_load(rig):
    """Batches wait for them, and the sidecar goes on in its session."""
    rig.sql(social.SCHEMA)
    rig.sql("INSERT INTO users SELECT u, 'user ' || u FROM generate_series(1001, 12000) AS u")
    rig.init()
    rig.create("user_activity", social.USER_ACTIVITY)
    rig.sidecar.start()
    rig.wait_live("user_activity")
    with rig.load(social.LOAD):
        rig.sql("UPDATE anabranch_data.user_activity SET anabranch_s1 = anabranch_s1 + 7 WHERE user_id % 3 = 0; "
                "DELETE FROM anabranch_data.user_activity WHERE user_id > 1010 AND user_id % 3 = 1")
        run = verify(rig, "user_activity", repair=True)
        wait_ended(rig, run)
        state, _, differing, words = verdict(rig, run)
        assert state == "done" and differing > 7000 and words.endswith("all of them repaired"), (state, differing, words)
    assert rig.value("SELECT token FROM anabranch.source WHERE name = 'home'") == 1
    rig.expect_current({"user_activity": social.USER_ACTIVITY})
    rig.sidecar.stop()


@needs(seconds=45)
def test_exact_when_killed_at_each_step(rig, rng):
    """A run that was cut off is taken up again, repairs are in once."""
    prepare(rig)
    with rig.load(LOAD):
        for name in ["verify_slot_made", "verify_begun", "verify_proved", "verify_correction_before_commit", "verify_corrected"]:
            do_damage(rig, rng, DAMAGE[:2])
            rig.sidecar.kill()
            run = verify(rig, "user_activity", repair=True)
            rig.sidecar.start(failpoint=name)
            assert rig.sidecar.wait(60) == -9, name
            rig.sidecar.start()
            wait_ended(rig, run)
            assert verdict(rig, run)[0] == "done", (name, verdict(rig, run))
    rig.expect_current(COPIES)
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%\\_fill\\_0'") == 0, "the slot to be dropped")
    rig.sidecar.stop()


@needs(seconds=45)
def test_repair_races_the_stream(rig):
    """Groups that are being written are damaged and repaired, again and again: their sums never deviate."""
    prepare(rig)
    # So that a run reads what it is about, and not all that has been written since the test began.
    rig.sql("CREATE INDEX ON tweets (user_id); CREATE INDEX ON likes (user_id); CREATE INDEX ON follows (followee_id)")
    hot = "[" + ", ".join(str(user) for user in range(1, 101)) + "]"
    with rig.load(LOAD, clients=4):
        for _ in range(RACES // 100):
            rig.sql("UPDATE anabranch_data.user_activity SET anabranch_rows = anabranch_rows + 3, anabranch_s1 = anabranch_s1 + 5 WHERE user_id <= 100")
            run = verify(rig, "user_activity", mode="keys", keys=hot, repair=True)
            wait_ended(rig, run)
            assert verdict(rig, run)[2] == 100 and verdict(rig, run)[3].endswith("all of them repaired"), verdict(rig, run)
    rig.expect_current(COPIES)
    rig.sidecar.stop()


def test_its_slot_is_left_alone(rig):
    """When a copy goes, so do slots that no copy needs any more: but not the one that a run has just made and does not read yet."""
    prepare(rig)
    for name in ("anabranch_app_fill_0", "anabranch_app_fill_77"):
        rig.sql("SELECT pg_copy_logical_replication_slot('anabranch_app', %s, false)", (name,))
    rig.sql("SELECT anabranch.drop_aggregate_table('images')")
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'anabranch_app_fill_77'") == 0, "the orphan to go")
    assert rig.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'anabranch_app_fill_0'") == 1
    run = verify(rig, "by_day")
    wait_ended(rig, run)
    expect_equal_verdicts(rig, [run])
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'anabranch_app_fill_0'") == 0, "the run to drop it as its own")
    rig.sidecar.stop()


def test_gives_way_unless_all_of_the_time_is_asked_for(rig):
    prepare(rig)

    def nice_values():
        pids = [row[0] for row in rig.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'anabranch verifier' AND backend_type = 'client backend'")]
        return [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids]

    assert nice_values() == [0]
    for duty, expected in ((0.9, [10]), (1, [0]), (1, [0]), (0.9, [10])):
        run = verify(rig, "by_day", duty=duty)
        wait_ended(rig, run)
        expect_equal_verdicts(rig, [run])
        rig.wait_until(lambda: nice_values() == expected, f"a session for a duty of {duty}: {nice_values()}")
    assert "a verification was interrupted" not in rig.sidecar.log()
    rig.sidecar.stop()


def test_absent_standby_is_no_difference(rig):
    """A commit that nobody sees yet is neither missing in the copy nor extra in the source."""
    prepare(rig)
    with hanging_commit(rig, "INSERT INTO tweets (user_id, body) SELECT 43, 'unseen' FROM generate_series(1, 100)"):
        rig.sql("SET synchronous_commit = local")
        rig.sql("UPDATE tweets SET body = 'seen' WHERE tweet_id < 20")
        rig.sql("UPDATE anabranch_data.by_day SET anabranch_s1 = anabranch_s1 + 1 WHERE day = 7")
        runs = [verify(rig, copy) for copy in COPIES if copy != "by_day"]
        damaged = verify(rig, "by_day", repair=True)
        wait_ended(rig, *runs, damaged)
        expect_equal_verdicts(rig, runs)
        assert verdict(rig, damaged)[2] == 1, verdict(rig, damaged)
    rig.expect_current(COPIES)
    rig.sidecar.stop()


def test_truncate_in_the_midst(rig):
    prepare(rig)
    stop = time.monotonic() + 6
    while time.monotonic() < stop:
        run = verify(rig, "by_day")
        rig.sql("TRUNCATE tweets")
        rig.sql("INSERT INTO tweets (user_id, body) SELECT i, 'again' FROM generate_series(1, 100) AS i")
        wait_ended(rig, run)
        expect_equal_verdicts(rig, [run])
    rig.expect_current({name: COPIES[name] for name in ("by_day",)})
    rig.sidecar.stop()


def test_is_asked_for_and_refused(rig):
    """Runs queue, can be cancelled, and wait for a sidecar; what makes no sense is refused with the remedy."""
    prepare(rig)
    rig.sidecar.stop()
    first, second = verify(rig, "by_day"), verify(rig, "user_activity")
    assert rig.value("SELECT anabranch.cancel(%s)", (first,)) is True
    assert rig.value("SELECT anabranch.cancel(%s)", (first,)) is False
    rig.sidecar.start()
    wait_ended(rig, second)
    assert [verdict(rig, run)[0] for run in (first, second)] == ["cancelled", "done"]
    one, two = (row[0] for row in rig.sql("SELECT day FROM by_day ORDER BY day LIMIT 2"))
    keys = verify(rig, "by_day", mode="keys", keys=f'[{one}, {{"day": {two}}}, 4711]')
    wait_ended(rig, keys)
    assert verdict(rig, keys)[:3] == ("done", 2, 0), verdict(rig, keys)
    bad = verify(rig, "by_day", mode="keys", keys='[{"tweets": 1}]')
    wait_ended(rig, bad)
    assert verdict(rig, bad)[0] == "failed" and "no column" in verdict(rig, bad)[3], verdict(rig, bad)
    for arguments, code in [("'by_day', 'quick'", "22023"), ("'by_day', duty => 0", "22023"), ("'by_day', 'keys'", "22023"),
                            ("'by_day', keys => '[1]'", "22023"), ("'tweets'", "42809"), ("'by_day', NULL", "22004")]:
        assert rig.sql_error(f"SELECT anabranch.verify({arguments})").pgcode == code, arguments
    assert rig.sql_error("SELECT anabranch.repair(4711)").pgcode == "42704"
    rig.sql("CREATE ROLE passer_by LOGIN; GRANT USAGE ON SCHEMA public TO passer_by")
    assert rig.sql_error("SELECT anabranch.verify('by_day')", user="passer_by").pgcode == "42501"
    assert rig.sql_error(f"SELECT anabranch.cancel({second})", user="passer_by").pgcode == "42501"
    rig.sql("SELECT anabranch.pause('by_day')")
    rig.wait_for_state("by_day", "paused")
    error = rig.sql_error("SELECT anabranch.verify('by_day')")
    assert error.pgcode == "AN002" and "resume" in error.diag.message_hint
    rig.sidecar.stop()


def test_verified_by_itself(rig):
    """Every copy in turn, the one with the oldest proof first; status says how old the proof is."""
    prepare(rig)
    for copy in COPIES:
        rig.sql("SELECT anabranch.verify_every(%s, '1 s', 1)", (copy,))
    rig.wait_until(lambda: rig.value("SELECT count(DISTINCT copy) FROM anabranch.verifications WHERE state = 'done' AND requested_by IS NULL") == len(COPIES),
                   "a proof of each copy")
    assert rig.value("SELECT bool_and(proved_at > now() - interval '1 min') FROM anabranch.copies")
    for copy in COPIES:
        rig.sql("SELECT anabranch.verify_every(%s, NULL)", (copy,))
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM anabranch.verification WHERE state IN ('queued', 'running')") == 0, "the last runs")
    time.sleep(0.1)
    runs = rig.value("SELECT max(run) FROM anabranch.verification")
    asked = verify(rig, "by_day")
    wait_ended(rig, asked)
    assert asked == runs + 1, "and none has been begun since"
    rig.sidecar.stop()


@needs(seconds=60)
def test_copies_fed_through_topics(rig, kafka, rng):
    """What the copy lacks is read from the topics, then: the slot is the publisher's, and past it."""
    published = ThroughKafka(rig, kafka, keyless_tables='"full_row"')
    rig.sql("CREATE TABLE likes_log (user_id int, tweet_id int); ALTER TABLE likes_log REPLICA IDENTITY FULL")
    published.prepare(COPIES)
    rig.sidecar.start()
    rig.wait_live(*COPIES)
    with rig.load(LOAD):
        runs = [verify(rig, copy) for copy in COPIES]
        wait_ended(rig, *runs)
        expect_equal_verdicts(rig, runs)
        do_damage(rig, rng, DAMAGE[:2])
        damaged = verify(rig, "user_activity", repair=True)
        wait_ended(rig, damaged)
        assert verdict(rig, damaged)[0] == "done" and verdict(rig, damaged)[2] > 5, verdict(rig, damaged)
    rig.expect_current(COPIES)
    rig.sidecar.stop()
    published.audit()
