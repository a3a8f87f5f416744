"""What users, and machines, do wrong. Each ends in a message that names the remedy, and with nothing lost: the copy it
concerns is set aside with the reason, every other one goes on and stays right."""

import contextlib
import datetime
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import time

from rig import social
from rig.sidecar import PROGRAM

LEDGER = """
    CREATE TABLE entry (id bigint PRIMARY KEY, account text, amount int, divisor int DEFAULT 1, note text);
    ALTER TABLE entry REPLICA IDENTITY FULL;
    INSERT INTO entry SELECT i, 'account ' || i % 7, i, 1, 'note ' || i FROM generate_series(1, 200) AS i;
"""
BALANCE = "SELECT account, sum(amount) AS balance FROM entry GROUP BY account"
NOTES = "SELECT account, count(note) AS notes FROM entry GROUP BY account"


def start_with_two_copies(rig, victim=NOTES):
    """`balance`, which has to survive, and `victim`."""
    rig.sql(LEDGER)
    rig.init()
    rig.create("balance", BALANCE)
    rig.create("victim", victim)
    rig.sidecar.start()
    rig.wait_live("balance", "victim")


def expect_set_aside(rig, state, *words):
    """The victim is in `state`, its reason has the words; balance goes on."""
    rig.wait_for_state("victim", state)
    reason = rig.state("victim")[2]
    for word in words:
        assert word in reason, f'"{word}" is not in the reason: {reason}'
    rig.sql("INSERT INTO entry (id, account, amount) SELECT 10000 + i, 'later', i FROM generate_series(1, 10) AS i")
    rig.expect_current({"balance": BALANCE})
    rig.sidecar.stop()


# --- DDL on a source ----------------------------------------------------------------------------------------------


def test_source_column_dropped(rig):
    start_with_two_copies(rig)
    rig.sql("ALTER TABLE entry DROP COLUMN note")
    expect_set_aside(rig, "stale", "note")


def test_source_column_renamed(rig):
    start_with_two_copies(rig)
    rig.sql("ALTER TABLE entry RENAME COLUMN note TO remark")
    expect_set_aside(rig, "stale", "note")


def test_source_column_retyped(rig):
    start_with_two_copies(rig)
    rig.sql("ALTER TABLE entry ALTER COLUMN note TYPE varchar(40)")
    expect_set_aside(rig, "stale", "note")


def test_unused_columns_come_and_go(rig):
    start_with_two_copies(rig)
    rig.sql("ALTER TABLE entry ADD COLUMN extra numeric DEFAULT random()")
    rig.sql("ALTER TABLE entry DROP COLUMN divisor")
    rig.sql("UPDATE entry SET amount = amount + 1, extra = 2 WHERE id % 3 = 0")
    rig.sql("ALTER TABLE entry RENAME COLUMN extra TO other")
    rig.sql("ALTER TABLE entry ALTER COLUMN other TYPE text")
    rig.sql("DELETE FROM entry WHERE id % 5 = 0")
    rig.sql("VACUUM FULL entry")
    rig.sql("INSERT INTO entry (id, account, amount) VALUES (7777, 'new', 1)")
    rig.expect_current({"balance": BALANCE, "victim": NOTES})


def test_source_dropped(rig):
    rig.sql("CREATE TABLE other (id int PRIMARY KEY, v int); ALTER TABLE other REPLICA IDENTITY FULL")
    start_with_two_copies(rig, "SELECT v, count(*) AS n FROM other GROUP BY v")
    rig.sql("DROP TABLE other")
    expect_set_aside(rig, "stale", "other")


def test_replica_identity_taken_away(rig):
    start_with_two_copies(rig)
    rig.sql("ALTER TABLE entry REPLICA IDENTITY DEFAULT")
    rig.sql("UPDATE entry SET note = NULL WHERE id = 7")
    rig.wait_for_state("victim", "stale")
    assert "REPLICA IDENTITY FULL" in rig.state("victim")[2]
    rig.sidecar.stop()


def test_truncate_of_the_only_source(rig):
    start_with_two_copies(rig)
    rig.sql("TRUNCATE entry")
    rig.sql("INSERT INTO entry VALUES (1, 'a', 1)")
    rig.expect_current({"balance": BALANCE, "victim": NOTES})


def test_truncate_of_one_branch(rig):
    rig.sql("CREATE TABLE other (id int PRIMARY KEY, v text); ALTER TABLE other REPLICA IDENTITY FULL")
    start_with_two_copies(
        rig, "SELECT a, count(*) AS n FROM (SELECT account AS a FROM entry UNION ALL SELECT v FROM other) AS b GROUP BY a")
    rig.sql("INSERT INTO other VALUES (1, 'x')")
    rig.sql("TRUNCATE other")
    expect_set_aside(rig, "stale", "other")


# --- Values an expression cannot take -----------------------------------------------------------------------------


def test_division_by_zero_on_one_row(rig):
    query = "SELECT account, sum(amount / divisor) AS shares FROM entry GROUP BY account"
    start_with_two_copies(rig, query)
    rig.sql("INSERT INTO entry VALUES (500, 'zero', 1, 0)")
    rig.wait_for_state("victim", "failed")
    state, sqlstate, reason = rig.state("victim")
    assert sqlstate == "22012" and "division by zero" in reason, (sqlstate, reason)
    rig.expect_current({"balance": BALANCE})
    # The cause is removed; resume brings the copy back, from the log or by a new fill.
    rig.sql("DELETE FROM entry WHERE divisor = 0")
    rig.sql("SELECT anabranch.resume('victim')")
    rig.wait_for_state("victim", "live", tolerate="failed")
    rig.expect_current({"balance": BALANCE, "victim": query})
    rig.sidecar.stop()


def test_division_by_zero_while_filling(rig):
    rig.sql(LEDGER)
    rig.sql("UPDATE entry SET divisor = 0 WHERE id = 150")
    rig.init()
    rig.create("balance", BALANCE)
    rig.create("victim", "SELECT account, sum(amount / divisor) AS shares FROM entry GROUP BY account")
    rig.sidecar.start()
    expect_set_aside(rig, "failed", "division by zero")


def test_group_key_too_large(rig):
    start_with_two_copies(rig, "SELECT note, count(*) AS n FROM entry GROUP BY note")
    rig.sql("INSERT INTO entry SELECT 600, 'large', 1, 1, string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i")
    expect_set_aside(rig, "failed")


# --- Hands on what is ours ----------------------------------------------------------------------------------------


def test_state_table_is_out_of_reach(rig):
    rig.sql("CREATE ROLE app LOGIN IN ROLE anabranch_operator; GRANT CREATE, USAGE ON SCHEMA public TO app")
    rig.sql(LEDGER)
    rig.sql("ALTER TABLE entry OWNER TO app")
    rig.init()
    with contextlib.closing(rig.session(user="app")) as session, session.cursor() as cursor:
        cursor.execute("SELECT anabranch.create_aggregate_table('balance', %s)", (BALANCE,))
    rig.sidecar.start()
    rig.wait_live("balance")
    table = rig.value("SELECT state::text FROM anabranch.definition")
    for statement in [
        f"DELETE FROM {table}", f"UPDATE {table} SET account = 'mine'", f"TRUNCATE {table}", f"DROP TABLE {table}",
        f"ALTER TABLE {table} ADD COLUMN mine int", f"CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING",
        f"CREATE TRIGGER t BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ]:
        assert rig.sql_error(statement, user="app").pgcode == "42501", statement
    rig.expect_current({"balance": BALANCE})
    rig.sidecar.stop()


def test_function_cannot_escalate(rig):
    rig.sql("CREATE ROLE mallory LOGIN IN ROLE anabranch_operator; GRANT CREATE, USAGE ON SCHEMA public TO mallory")
    rig.sql("CREATE TABLE loot (who text); GRANT INSERT ON loot TO PUBLIC")
    rig.init()
    with contextlib.closing(rig.session(user="mallory")) as session, session.cursor() as cursor:
        cursor.execute("""
            CREATE TABLE bait (id int PRIMARY KEY, v int);
            ALTER TABLE bait REPLICA IDENTITY FULL;
            INSERT INTO bait VALUES (1, 1);
            CREATE FUNCTION innocent(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN v; END $$;
            SELECT anabranch.create_aggregate_table('trap', 'SELECT innocent(v) AS v, count(*) AS n FROM bait GROUP BY 1');
            CREATE OR REPLACE FUNCTION innocent(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
            BEGIN
              BEGIN
                EXECUTE 'ALTER ROLE mallory SUPERUSER';
              EXCEPTION WHEN OTHERS THEN NULL;
              END;
              BEGIN
                EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE mallory SUPERUSER';
              EXCEPTION WHEN OTHERS THEN NULL;
              END;
              RETURN v;
            END $$""")
    rig.sidecar.start()
    rig.wait_for_state("trap", "live", "failed")
    rig.sql("INSERT INTO bait SELECT i, i FROM generate_series(2, 20) AS i")
    rig.wait_until(lambda: rig.state("trap")[0] == "failed" or rig.value("SELECT count(*) FROM trap") == 20, "the rows to be applied")
    assert rig.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'") is False
    rig.sidecar.stop()


def test_function_cannot_speak_for_the_server(rig):
    rig.sql(LEDGER)
    rig.sql("""
        CREATE FUNCTION outspoken(note text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN
          IF note ~ '^[0-9A-Z]{5}$' THEN RAISE EXCEPTION 'said by a function' USING ERRCODE = note; END IF;
          RETURN note;
        END $$""")
    rig.init()
    rig.create("balance", BALANCE)
    rig.create("victim", "SELECT outspoken(note) AS note, count(*) AS n FROM entry GROUP BY 1")
    rig.sidecar.start()
    rig.wait_live("balance", "victim")
    # Another sidecar; the server shuts down; the connection is lost; the disk is full.
    for number, code in enumerate(["AN001", "57P01", "08006", "53100"], 700):
        rig.sql("INSERT INTO entry (id, account, amount, note) VALUES (%s, 'loud', 1, %s)", (number, code))
        rig.wait_until(lambda: rig.state("victim")[0] != "live", f"the copy to be set aside for {code}")
        state, sqlstate, reason = rig.state("victim")
        assert (state, sqlstate) == (("catching_up", "AN008") if code == "53100" else ("failed", "38000")), (code, state, sqlstate)
        assert "said by a function" in reason
        rig.expect_current({"balance": BALANCE})
        rig.sql("DELETE FROM entry WHERE id = %s", (number,))
        if code == "53100":  # in the log for ever: only another definition of the function gets past it
            rig.sql("CREATE OR REPLACE FUNCTION outspoken(note text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT note'")
            assert rig.state("victim")[0] == "stale" and "was replaced" in rig.state("victim")[2], rig.state("victim")
            rig.sql("SELECT anabranch.resume('victim')")
            rig.wait_live("victim")
            break
        rig.sql("SELECT anabranch.resume('victim')")
        rig.wait_live("victim")
    # While it is filled, too.
    rig.sql("""
        CREATE OR REPLACE FUNCTION outspoken(note text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'said by a function' USING ERRCODE = 'AN001'; END $$""")
    rig.create("late", "SELECT outspoken(note) AS note, count(*) AS n FROM entry GROUP BY 1")
    rig.wait_for_state("late", "failed")
    assert rig.sidecar.running(), rig.sidecar.log_tail()
    rig.expect_current({"balance": BALANCE})
    rig.sidecar.stop()


def test_sleeping_function_is_told_and_set_apart(rig):
    rig.sql(LEDGER)
    rig.sql("""
        CREATE FUNCTION sleepy(note text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN
          IF note = 'sleep' THEN PERFORM pg_sleep(3600); END IF;
          RETURN note;
        END $$""")
    rig.init()
    rig.create("balance", BALANCE)
    rig.create("victim", "SELECT sleepy(note) AS note, count(*) AS n FROM entry GROUP BY 1")
    rig.sidecar.start()
    rig.wait_live("balance", "victim")
    rig.sql("INSERT INTO entry (id, account, amount, note) VALUES (700, 'slow', 1, 'sleep')")
    rig.wait_until(lambda: "its batch is being applied, for" in str(rig.value("SELECT problem FROM anabranch.status WHERE kind = 'source'")),
                   lambda: f"status to say that a batch takes long: {rig.sql('TABLE anabranch.findings')}, {rig.sql('TABLE anabranch.heartbeat')}, "
                           f"{rig.sql('SELECT query, state, wait_event, xact_start FROM pg_stat_activity WHERE datname = current_database()')}")
    # What the statement's timeout does after a minute.
    for _ in range(2):
        cancel = """SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                    WHERE query LIKE 'SELECT anabranch.apply(%' AND state = 'active' AND wait_event = 'PgSleep'"""
        rig.wait_until(lambda: rig.sql(cancel) or rig.state("victim")[0] != "live", "the function to sleep")
        time.sleep(1)
    rig.wait_for_state("victim", "catching_up")
    rig.expect_current({"balance": BALANCE})
    rig.sql("SELECT anabranch.pause('victim')")
    rig.sql("SELECT anabranch.drop_aggregate_table('victim')")
    rig.expect_current({"balance": BALANCE})
    rig.sidecar.stop()


def test_view_dropped(rig):
    start_with_two_copies(rig)
    rig.sql("DROP VIEW victim")
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM anabranch.definition") == 1, "the definition to go")
    rig.sql("DELETE FROM entry WHERE id < 50")
    rig.expect_current({"balance": BALANCE})
    rig.sidecar.stop()


def test_state_table_dropped(rig):
    start_with_two_copies(rig)
    table = rig.value("SELECT state::text FROM anabranch.definition WHERE copy = 'victim'::regclass")
    rig.sql(f"DROP TABLE {table} CASCADE")
    rig.sql("DELETE FROM entry WHERE id < 50")
    rig.expect_current({"balance": BALANCE})
    rig.sidecar.stop()


def test_hostile_names(rig):
    names = ['a"b', "a'b", "line\nbreak", "x" * 63, "🐘 eléphant", "$(x)", "%s %d %n", "a;b--c", "SELECT", " lead", "back\\slash", "{}", "$1"]
    rig.init()
    rig.sidecar.start()
    copies = {}

    def quoted(name):
        return '"' + name.replace('"', '""') + '"'

    with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
        for number, name in enumerate(names):
            table, column, copy = quoted(name), quoted(name[::-1]), quoted(f"{name[:-2]}{number}")
            cursor.execute(f"CREATE TABLE {table} ({column} text, id int PRIMARY KEY)")
            cursor.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
            cursor.execute(f"INSERT INTO {table} VALUES ('a', 1), ('b', 2), ('a', 3)")
            query = f"SELECT {column}, count(*) AS n FROM {table} GROUP BY {column}"
            cursor.execute("SELECT anabranch.create_aggregate_table(%s, %s)", (copy, query))
            copies[copy] = query
    rig.wait_live(*copies)
    with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
        for name in names:
            cursor.execute(f"DELETE FROM {quoted(name)} WHERE id = 1")
    rig.expect_current(copies)
    rig.command("status")
    rig.sidecar.stop()


# --- The machine --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(rig, megabytes):
    """A tablespace "small" on a file system of its own; None where this machine does not let us mount one."""
    path = pathlib.Path(rig.cluster.path, "small")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        yield None
        return
    try:
        shutil.chown(path, rig.cluster.server_user())
        rig.sql(f"CREATE TABLESPACE small LOCATION '{path}'")
        yield "small"
    finally:
        rig.cluster.kill()
        subprocess.run(["umount", "-l", str(path)], check=True)


def tries_where_it_stands(rig):
    """When the sidecar began to apply, in seconds, each time from the position it has not come away from since."""
    tries = re.findall(r'^(\S+ \S+) UTC info: applying \(.*?\blsn="?([0-9A-F/]+)', rig.sidecar.log(), re.M)
    return [datetime.datetime.fromisoformat(at).timestamp() for at, lsn in tries if lsn == tries[-1][1]]


def test_full_disk(rig):
    with small_disk(rig, 64) as tablespace:
        if tablespace is None:
            return
        rig.sql("CREATE TABLE entry (id bigint PRIMARY KEY, account text, amount int); ALTER TABLE entry REPLICA IDENTITY FULL")
        rig.sql("INSERT INTO entry SELECT i, 'account ' || i % 7, i FROM generate_series(1, 200) AS i")
        rig.init()
        rig.create("balance", BALANCE)
        rig.sidecar.start()
        rig.wait_live("balance")
        state = rig.value("SELECT state::text FROM anabranch.definition")
        rig.sidecar.stop()
        rig.sql(f"ALTER TABLE {state} SET TABLESPACE small")
        rig.sql("CREATE TABLE ballast TABLESPACE small AS SELECT repeat('x', 1000) FROM generate_series(1, 52000)")
        rig.sidecar.start()
        rig.sql("INSERT INTO entry SELECT i, repeat('a', 100) || i, i FROM generate_series(1000, 60000) AS i")
        rig.wait_until(
            lambda: "No space left" in rig.sidecar.log() + str(rig.state("balance")[2]), "a complaint about the disk")
        rig.wait_until(lambda: len(tries_where_it_stands(rig)) >= 7, "a row of tries from one position")
        for number, (before, after) in enumerate(itertools.pairwise(tries_where_it_stands(rig))):
            # A slow machine makes the pauses longer, and nothing makes them shorter.
            pause = min(0.05 * 2 ** number, 5)
            assert after - before > 0.9 * pause, f"try {number + 2} after {after - before:.3f} s, not {pause} s:\n{rig.sidecar.log_tail()}"
        rig.sql("DROP TABLE ballast; CHECKPOINT")
        if rig.state("balance")[0] == "failed":
            rig.sql("SELECT anabranch.resume('balance')")
            rig.wait_for_state("balance", "live", tolerate="failed")
        rig.expect_current({"balance": BALANCE})
        rig.sidecar.stop()


# --- The server and the slot --------------------------------------------------------------------------------------


def test_two_sidecars_on_one_slot(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    second = rig.another_sidecar()
    second.start()
    with rig.load(social.LOAD):
        time.sleep(3)
    running = [sidecar for sidecar in (rig.sidecar, second) if sidecar.running()]
    assert running, "neither of the two runs"
    rig.expect_current(social.COPIES)
    assert any(word in second.log() + rig.sidecar.log() for word in ("another", "in use", "fenced")), second.log()
    second.kill()
    rig.sidecar.kill()
    rig.sidecar.start()
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()


def slot_is_lost(rig):
    """What the sidecar says, and the copies do, once its slot is gone while rows were written."""
    rig.sidecar.start()
    rig.wait_until(lambda: "slot" in rig.sidecar.log().rpartition("--- run")[2], "a line that names the slot")
    time.sleep(1)
    assert rig.command("status", check=False).returncode != 0, "status says that all is well"
    states = {state for (state,) in rig.sql("SELECT state FROM anabranch.copies")}
    shown = rig.value("SELECT sum(tweets) FROM user_activity")
    actual = rig.value("SELECT count(*) FROM tweets")
    assert shown == actual or "live" not in states or not rig.sidecar.running(), "live, and wrong, and silent about it"
    rig.sidecar.kill()


def test_slot_dropped(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sidecar.stop()
    rig.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    rig.sql("INSERT INTO tweets (user_id) SELECT 1 FROM generate_series(1, 100)")
    slot_is_lost(rig)


def test_slot_invalidated(make_rig):
    with make_rig(max_slot_wal_keep_size="1MB", max_wal_size="32MB", wal_keep_size="0") as rig:
        social.prepare(rig)
        rig.sidecar.start()
        rig.wait_live(*social.COPIES)
        rig.sidecar.stop()
        rig.sql("INSERT INTO tweets (user_id) SELECT 1 FROM generate_series(1, 100)")
        for _ in range(5):
            rig.sql("SELECT pg_switch_wal()")
            rig.sql("CREATE TABLE filler AS SELECT repeat(md5(i::text), 60) FROM generate_series(1, 10000) AS i; DROP TABLE filler; CHECKPOINT")
        assert rig.value("SELECT wal_status FROM pg_replication_slots") == "lost"
        slot_is_lost(rig)


def expect_refusal(rig, *words, commands=("init", "run"), **environment):
    """Each command ends with an error that has the words."""
    for command in commands:
        done = subprocess.run(
            [PROGRAM, command], env={**rig.sidecar.environment, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        output = done.stdout + done.stderr
        assert done.returncode != 0, f"{command} succeeded:\n{output}"
        for word in words:
            assert word in output, f'{command} does not say "{word}":\n{output}'


def test_server_without_logical_wal(make_rig):
    with make_rig(wal_level="replica") as rig:
        expect_refusal(rig, "wal_level", "logical")


def test_server_refuses_the_plugin(rig):
    if not rig.sql("SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'"):
        return  # an older minor release, which refuses none

    def allow(libraries):
        rig.sql(f"ALTER SYSTEM SET output_plugin_libraries = {libraries}")
        rig.sql("SELECT pg_reload_conf()")
        rig.wait_until(lambda: rig.value("SHOW output_plugin_libraries") == libraries, "the settings to be read again")

    allow("pgoutput, test_decoding")
    expect_refusal(rig, "output_plugin_libraries", "anabranch_decoder", commands=("init",))
    allow("pgoutput, anabranch_decoder")
    rig.init()
    allow("pgoutput, test_decoding")
    expect_refusal(rig, "output_plugin_libraries", "anabranch_decoder", commands=("run",))


def test_wrong_password(rig):
    rig.sql("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'")
    rig.allow_only_with_password("guarded")
    expect_refusal(rig, "guarded", PGUSER="guarded", PGPASSWORD="wrong")


def test_no_server(rig):
    rig.cluster.stop()
    done = rig.command("status", check=False)
    assert done.returncode == 3, (done.returncode, done.stdout, done.stderr)
    assert "is the server running" in (done.stdout + done.stderr).lower()


def test_database_without_the_extension(rig):
    rig.sql("CREATE DATABASE bare")
    done = subprocess.run(
        [PROGRAM, "run"], env={**rig.sidecar.environment, "PGDATABASE": "bare"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "CREATE EXTENSION" in done.stdout + done.stderr, done.stdout + done.stderr
