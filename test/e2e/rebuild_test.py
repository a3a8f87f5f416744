"""Copies that are filled anew, or get another rule, beside the one that is read: exact, while writers and readers go on.

Method: readers ask all the time, and must never see an error, an empty copy or one that was half swapped, nor wait longer than the
lock of a view takes; afterwards the copy is equal to its definition as PostgreSQL computes it, and grants, comments, dependants and
indexes are what they were.
"""

import contextlib
import threading
import time

from rig import needs, social

BY_DAY = "SELECT user_id % 50 AS day, count(*) AS tweets FROM tweets GROUP BY 1"
WITH_LETTERS = "SELECT user_id % 50 AS day, count(*) AS tweets, sum(length(body)) AS letters FROM tweets GROUP BY 1"
BY_HOUR = "SELECT user_id % 24 AS hour, count(*) AS tweets FROM tweets WHERE user_id > 3 GROUP BY 1"
COPIES = {**social.COPIES, "by_day": BY_DAY}


def prepare(rig):
    social.prepare(rig, COPIES)
    rig.sidecar.start()
    rig.wait_live(*COPIES)
    rig.wait_fresh(*COPIES)


def wait_ended(rig, run, seconds=120):
    rig.wait_until(lambda: rig.value("SELECT state NOT IN ('queued', 'running') FROM anabranch.verification WHERE run = %s", (run,)), f"run {run}", seconds)
    return rig.sql("SELECT state, differing, reason FROM anabranch.verifications WHERE run = %s", (run,))[0]


@contextlib.contextmanager
def readers(rig, query, accept, count=2):
    """Sessions that run the query all the time; whatever they see must be accepted. Yields the list of what it took, in seconds."""
    stop, took, wrong = threading.Event(), [], []

    def read():
        with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    cursor.execute(query)
                    seen = cursor.fetchall()
                except Exception as error:  # pylint: disable=broad-except
                    wrong.append(repr(error))
                    return
                took.append(time.monotonic() - began)
                if not accept(seen):
                    wrong.append(seen[:3])
                    return

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not wrong, wrong


@needs(seconds=45)
def test_rebuilt_without_a_reader_noticing(rig):
    prepare(rig)
    rig.sql("CREATE ROLE reader LOGIN; GRANT SELECT ON user_activity TO reader; COMMENT ON VIEW user_activity IS 'what users do'")
    rig.sql("CREATE VIEW busy AS SELECT user_id FROM user_activity WHERE tweets > 3")
    rig.sql("SELECT anabranch.add_index('user_activity', '{followers}')")
    rig.sql("UPDATE anabranch_data.user_activity SET anabranch_s1 = anabranch_s1 + 1 WHERE user_id <= 400")
    with rig.load(social.LOAD), readers(rig, "SELECT count(*) FROM user_activity", lambda seen: seen[0][0] >= 1000) as took:
        for _ in range(3):
            state, differing, reason = wait_ended(rig, rig.value("SELECT anabranch.rebuild('user_activity')"))
            assert state == "done", reason
    print(f"{len(took)} reads, the longest {1000 * max(took):.0f} ms")
    rig.expect_current(COPIES)
    assert rig.value("SELECT differing FROM anabranch.verifications WHERE purpose = 'rebuild' ORDER BY run LIMIT 1") >= 390
    assert rig.value("SELECT differing FROM anabranch.verifications WHERE purpose = 'rebuild' ORDER BY run DESC LIMIT 1") == 0
    assert rig.value("SELECT has_table_privilege('reader', 'user_activity', 'SELECT') AND obj_description('user_activity'::regclass) = 'what users do'")
    assert rig.value("SELECT count(*) FROM busy") == rig.value("SELECT count(*) FROM user_activity WHERE tweets > 3")
    assert rig.value("SELECT count(*) FROM pg_index WHERE indrelid = (SELECT state FROM anabranch.definition WHERE copy = 'user_activity'::regclass)") == 2
    assert rig.value("SELECT count(*) FROM anabranch.definition") == 3 and rig.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'anabranch_data'::regnamespace AND relkind = 'r'") == 3
    rig.sidecar.stop()


@needs(seconds=45)
def test_altered_compared_swapped_and_swapped_back(rig):
    """A column more behind the others: the view stays, with what depends on it."""
    prepare(rig)
    rig.sql("CREATE VIEW total AS SELECT sum(tweets) AS tweets FROM by_day")
    with rig.load(social.LOAD), readers(rig, "SELECT count(*) FROM by_day", lambda seen: 0 < seen[0][0] <= 50):
        run = rig.value("SELECT anabranch.alter_aggregate_table('by_day', %s, swap => false)", (WITH_LETTERS,))
        state, differing, reason = wait_ended(rig, run)
        assert (state, differing) == ("done", 0), reason  # the columns that both have are equal
        assert rig.sql_error("SELECT letters FROM by_day").pgcode == "42703", "not swapped yet"
        twin = rig.value("SELECT copy::text FROM anabranch.definition WHERE twin_of = 'by_day'::regclass")
        rig.sql("SELECT anabranch.swap('by_day')")
        rig.wait_until(lambda: rig.value("SELECT purpose = 'former' FROM anabranch.definition WHERE twin_of = 'by_day'::regclass"), "the swap")
        assert rig.value("SELECT sum(letters) FROM by_day") > 0
        rig.sql("SELECT anabranch.swap_back('by_day')")
        rig.wait_until(lambda: rig.value("SELECT query = %s FROM anabranch.definition WHERE copy = 'by_day'::regclass", (BY_DAY,)), "the swap back")
        rig.wait_until(lambda: rig.value("SELECT NOT swap FROM anabranch.definition WHERE twin_of = 'by_day'::regclass"), "it to be noted")
        assert rig.value("SELECT bool_and(letters IS NULL) FROM by_day"), "a view keeps its columns"
        rig.sql("SELECT anabranch.swap_back('by_day')")
        rig.wait_until(lambda: rig.value("SELECT query = %s FROM anabranch.definition WHERE copy = 'by_day'::regclass", (WITH_LETTERS,)), "the second swap back")
    assert rig.value("SELECT anabranch.drop_former('by_day')") is True and rig.value("SELECT anabranch.drop_former('by_day')") is False
    assert rig.value(f"SELECT to_regclass('{twin}')") is None
    rig.expect_current({**social.COPIES, "by_day": WITH_LETTERS})
    assert rig.value("SELECT tweets FROM total") == rig.value("SELECT count(*) FROM tweets")
    rig.sidecar.stop()


@needs(seconds=45)
def test_other_columns_take_the_name(rig):
    prepare(rig)
    rig.sql("CREATE ROLE reader LOGIN; GRANT SELECT ON by_day TO reader; COMMENT ON VIEW by_day IS 'days'; CREATE VIEW total AS SELECT sum(tweets) FROM by_day")
    error = rig.sql_error(f"SELECT anabranch.alter_aggregate_table('by_day', '{BY_HOUR}')")
    assert error.pgcode == "2BP01" and "view public.total" in error.diag.message_primary, error
    assert rig.value("SELECT count(*) FROM anabranch.definition") == 3, "nothing is left of it"
    rig.sql("DROP VIEW total")
    with rig.load(social.LOAD), readers(rig, "SELECT count(*) FROM by_day", lambda seen: 0 < seen[0][0] <= 50):
        run = rig.value("SELECT anabranch.alter_aggregate_table('by_day', %s)", (BY_HOUR,))
        state, _, reason = wait_ended(rig, run)
        assert state == "done", reason
    assert rig.value("SELECT min(hour) >= 0 AND max(hour) < 24 FROM by_day")
    assert rig.value("SELECT has_table_privilege('reader', 'by_day', 'SELECT') AND obj_description('by_day'::regclass) = 'days'")
    rig.expect_current({**social.COPIES, "by_day": BY_HOUR})
    rig.sql("SELECT anabranch.swap_back('by_day')")
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'by_day'::regclass AND attname = 'day'") == 1, "the former columns")
    rig.expect_current(COPIES)
    rig.sql("SELECT anabranch.drop_former('by_day')")
    rig.sidecar.stop()


def test_stale_and_failed_copies_are_rebuilt(rig):
    """What is read stays until the new one is there."""
    prepare(rig)
    rig.sql("UPDATE anabranch.progress SET state = 'stale', reason = 'for the test' WHERE copy = 'by_day'::regclass")
    rig.wait_until(lambda: rig.state("by_day")[0] == "stale", "the copy to be stale")
    rig.sql("INSERT INTO tweets (user_id, body) VALUES (7, 'more')")
    with readers(rig, "SELECT count(*) FROM by_day", lambda seen: 0 < seen[0][0] <= 50):
        state, _, reason = wait_ended(rig, rig.value("SELECT anabranch.rebuild('by_day')"))
        assert state == "done", reason
    rig.expect_current(COPIES)
    rig.sidecar.stop()


def test_what_cannot_be_is_refused(rig):
    prepare(rig)
    for query, code in [("SELECT 1", None), ("SELECT nothing FROM tweets", "42703"), ("SELECT random() AS r FROM tweets", None)]:
        error = rig.sql_error(f"SELECT anabranch.alter_aggregate_table('by_day', '{query}')")
        assert code is None or error.pgcode == code, error
    assert rig.sql_error("SELECT anabranch.swap('by_day')").pgcode == "AN002"
    assert rig.sql_error("SELECT anabranch.swap_back('by_day')").pgcode == "AN002"
    rig.sql("CREATE ROLE operator LOGIN IN ROLE anabranch_operator")
    assert rig.sql_error(f"SELECT anabranch.alter_aggregate_table('by_day', '{BY_HOUR}')", user="operator").pgcode == "42501"
    # One that fails while it is filled leaves nothing.
    run = rig.value("SELECT anabranch.alter_aggregate_table('by_day', 'SELECT 1 / (user_id - 1) AS day, count(*) AS tweets FROM tweets GROUP BY 1')")
    state, _, reason = wait_ended(rig, run)
    assert state == "failed" and "division by zero" in reason, (state, reason)
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM anabranch.definition") == 3, "what was made beside it to be gone")
    rig.sidecar.stop()
    run = rig.value("SELECT anabranch.rebuild('by_day')")
    error = rig.sql_error("SELECT anabranch.rebuild('by_day')")
    assert error.pgcode == "AN002" and "drop_former" in error.diag.message_hint, error
    rig.sidecar.start()
    rig.sql("SELECT anabranch.drop_aggregate_table('by_day')")
    assert wait_ended(rig, run)[0] == "failed"
    assert rig.value("SELECT count(*) FROM anabranch.definition") == 2
    rig.sidecar.stop()


@needs(seconds=45)
def test_exact_when_killed_at_each_step(rig):
    prepare(rig)
    with rig.load(social.LOAD):
        for name in ["verify_twin_made", "verify_twin_proved", "verify_swap_requested", "swap_before_commit", "swap_committed"]:
            rig.sidecar.kill()
            run = rig.value("SELECT anabranch.rebuild('by_day')")
            rig.sidecar.start(failpoint=name)
            assert rig.sidecar.wait(60) == -9, name
            rig.sidecar.start()
            state, _, reason = wait_ended(rig, run)
            assert state == "done", (name, reason)
    rig.expect_current(COPIES)
    assert rig.value("SELECT count(*) FROM anabranch.definition") == 3
    rig.sidecar.stop()


@needs(seconds=45)
def test_verified_by_a_twin_where_one_pass_takes_too_long(rig):
    """The sources cannot be read in the time that a snapshot may be held: in small steps then, and as exactly."""
    config = rig.directory / "verify.toml"
    config.write_text("[verify]\nsnapshot_max = \"100 ms\"\n")
    rig.sidecar.arguments = ["-c", str(config)]
    rig.sql("CREATE FUNCTION slow(x text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN FOR i IN 1 .. 20 LOOP PERFORM pg_catalog.md5(x); END LOOP; RETURN pg_catalog.length(x); END'")
    copies = {**social.COPIES, "slow": "SELECT user_id % 50 AS day, sum(slow(body)) AS letters FROM tweets GROUP BY 1"}
    social.prepare(rig, copies)
    rig.sidecar.start()
    rig.wait_live(*copies)
    with rig.load(social.LOAD + "\\sleep 50 ms\n"):
        rig.sql("UPDATE anabranch_data.slow SET anabranch_s1 = anabranch_s1 + 1 WHERE day = 7")
        run = rig.value("SELECT anabranch.verify('slow', duty => 1, repair => true)")
        state, differing, reason = wait_ended(rig, run)
        assert (state, differing) == ("done", 1), (state, differing, reason)
    assert rig.value("SELECT method || ' ' || repaired FROM anabranch.verifications WHERE run = %s", (run,)) == "twin 1"
    assert rig.value("SELECT count(*) FROM anabranch.definition") == 3
    rig.expect_current(copies)
    rig.sidecar.stop()
