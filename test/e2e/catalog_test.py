"""What the catalog promises across sessions, servers and dumps: definitions travel and positions do not, owners change,
readers on a standby can wait, and no DDL that takes rows away goes unnoticed."""

import contextlib
import pathlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import psycopg2

ORDERS = """
    CREATE SCHEMA app;
    CREATE TYPE app.mood AS ENUM ('sad', 'glad');
    CREATE TABLE app.orders (gone int, id bigint PRIMARY KEY, customer int, amount numeric, feeling app.mood, late text);
    ALTER TABLE app.orders DROP COLUMN gone;
    ALTER TABLE app.orders REPLICA IDENTITY FULL;
    INSERT INTO app.orders
      SELECT i, i % 10, i * 1.50, CASE WHEN i % 3 = 0 THEN 'sad' ELSE 'glad' END::app.mood FROM generate_series(1, 500) AS i;
    CREATE TABLE app.visit (id int, day date, customer int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE app.visit_1 PARTITION OF app.visit FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
    CREATE TABLE app.visit_2 PARTITION OF app.visit FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
    ALTER TABLE app.visit_1 REPLICA IDENTITY FULL;
    ALTER TABLE app.visit_2 REPLICA IDENTITY FULL;
    INSERT INTO app.visit SELECT i, '2026-01-01'::date + i % 360, i % 7 FROM generate_series(1, 400) AS i;
"""
COPIES = {
    'app."by customer"': "SELECT customer, feeling, sum(amount) AS total, avg(amount) AS mean, count(*) AS n FROM app.orders GROUP BY customer, feeling",
    "app.rekeyed": "SELECT customer, id, amount FROM app.orders WHERE amount > 3",
    "app.activity": "SELECT k, count(*) AS n FROM (SELECT customer AS k FROM app.orders UNION ALL SELECT customer FROM app.visit) AS all_of_them GROUP BY k",
}
CHANGES = """
    INSERT INTO app.orders SELECT 1000 + i, i % 12, i * 0.10, 'sad' FROM generate_series(1, 100) AS i;
    UPDATE app.orders SET amount = amount + 1, customer = customer + 1 WHERE id % 5 = 0;
    DELETE FROM app.orders WHERE id % 7 = 0;
    UPDATE app.visit SET day = '2026-12-01' WHERE id % 11 = 0;
    DELETE FROM app.visit WHERE id % 13 = 0;
"""


def program(rig, name):
    return str(pathlib.Path(rig.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'"), name))


def run(rig, *command, dbname=None):
    environment = {**rig.sidecar.environment, "PGDATABASE": dbname or rig.dbname}
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command[0]} ended with status {done.returncode}:\n{done.stdout}"
    return done.stdout


def start(rig):
    rig.sql(ORDERS)
    rig.init()
    for name, query in COPIES.items():
        rig.create(name, query)
    rig.sidecar.start()
    rig.expect_current(COPIES)


def switch_to(rig, dbname):
    """From now on the rig is about another database."""
    rig.dbname = dbname
    rig.connection.close()
    rig.sidecar.environment["PGDATABASE"] = dbname


def dump_and_restore(rig, restore):
    """Dumps with copies that are live, restores into another database, fills there."""
    start(rig)
    rig.sql("SELECT anabranch.add_index('app.\"by customer\"', '{n}')")
    rig.sql("CREATE VIEW app.above AS SELECT customer, n FROM app.\"by customer\"")
    rig.sql("CREATE ROLE reader; GRANT SELECT ON app.\"by customer\" TO reader")
    rig.sidecar.stop()
    rig.sql("CREATE DATABASE restored")
    restore()
    switch_to(rig, "restored")

    assert rig.sql("SELECT copy::text, state, problem FROM anabranch.copies ORDER BY 1") == [(copy, "unbound", None) for copy in sorted(COPIES)]
    remedies = dict(rig.sql("SELECT name, remedy FROM anabranch.status WHERE kind = 'copy'"))
    assert remedies["app.rekeyed"] == "SELECT anabranch.resume('app.rekeyed')", remedies
    assert rig.sql("TABLE anabranch.source") == [], "positions of another database mean nothing here"
    assert rig.sql_error("SELECT anabranch.wait_for('app.rekeyed')").pgcode == "AN002"

    rig.init()
    rig.sidecar.start()
    for copy in COPIES:
        rig.sql("SELECT anabranch.resume(%s)", (copy,))
    rig.sql(CHANGES)
    rig.expect_current(COPIES)
    assert rig.value("SELECT has_table_privilege('reader', 'app.\"by customer\"', 'SELECT')")
    assert rig.value("SELECT count(*) = (SELECT count(*) FROM app.\"by customer\") FROM app.above")
    # The numbers of later definitions and shadows do not collide with restored ones.
    more = {"app.more": "SELECT customer, count(*) AS n FROM app.visit GROUP BY customer"}
    rig.create("app.more", more["app.more"])
    rig.expect_current({**COPIES, **more})
    rig.sql("SELECT anabranch.drop_aggregate_table(copy) FROM anabranch.copies WHERE copy <> 'app.\"by customer\"'::regclass")
    rig.expect_current({'app."by customer"': COPIES['app."by customer"']})
    rig.sidecar.stop()


def test_dump_and_restore_as_sql(rig):
    script = rig.directory / "dump.sql"

    def restore():
        script.write_text(run(rig, program(rig, "pg_dump")))
        run(rig, program(rig, "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(script), dbname="restored")

    dump_and_restore(rig, restore)


def test_dump_and_restore_as_archive(rig):
    archive = str(rig.directory / "dump.archive")

    def restore():
        run(rig, program(rig, "pg_dump"), "-Fc", "-f", archive)
        # In parallel, the parts arrive in no particular order.
        run(rig, program(rig, "pg_restore"), "-j", "2", "--exit-on-error", "-d", "restored", archive)

    dump_and_restore(rig, restore)


def test_tables_come_and_go_live(rig):
    """DDL on partitions while changes flow: what has no row event makes stale, what has is applied."""
    start(rig)
    others = {copy: query for copy, query in COPIES.items() if copy != "app.activity"}
    rig.sql("CREATE TABLE app.visit_3 PARTITION OF app.visit FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')")
    rig.sql("ALTER TABLE app.visit_3 REPLICA IDENTITY FULL")
    rig.sql("INSERT INTO app.visit VALUES (9000, '2027-05-05', 3)")
    rig.sql("DELETE FROM app.visit_2")
    rig.sql("ALTER TABLE app.visit DETACH PARTITION app.visit_2; DROP TABLE app.visit_2")
    rig.sql("ALTER TABLE app.orders ADD COLUMN more text DEFAULT 'x', DROP COLUMN late")
    rig.expect_current(COPIES)

    rig.sql("BEGIN; INSERT INTO app.orders VALUES (5000, 1, 1, 'sad'); ALTER TABLE app.visit DETACH PARTITION app.visit_1; COMMIT")
    rig.wait_for_state("app.activity", "stale")
    assert "app.visit_1" in rig.state("app.activity")[2]
    rig.expect_current(others)
    rig.sql("SELECT anabranch.resume('app.activity')")
    rig.wait_for_state("app.activity", "live", tolerate="stale")
    rig.expect_current(COPIES)

    rig.sql("ALTER PUBLICATION anabranch DROP TABLE app.orders")
    assert {rig.state(copy)[0] for copy in COPIES} == {"stale"}
    rig.sql(CHANGES)
    for copy in COPIES:
        rig.sql("SELECT anabranch.resume(%s)", (copy,))
    for copy in COPIES:
        rig.wait_for_state(copy, "live", tolerate="stale")
    rig.expect_current(COPIES)
    rig.sidecar.stop()


def test_a_copy_is_resumed_while_it_is_set_aside(rig):
    """Resuming begins a copy anew; what was found of it before has no say any more, and stops nobody."""
    start(rig)
    rig.sidecar.stop()
    rig.sql("UPDATE anabranch.progress SET state = 'stale' WHERE copy = 'app.rekeyed'::regclass")
    with contextlib.closing(rig.session()) as resuming, contextlib.closing(rig.session()) as setting, ThreadPoolExecutor(1) as other:
        resuming.cursor().execute("BEGIN; SELECT anabranch.resume('app.rekeyed')")
        done = other.submit(setting.cursor().execute, "SELECT anabranch.set_aside('app.rekeyed'::regclass, 'stale', NULL, 'AN004', 'found late')")
        rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1, "one to wait for the other")
        resuming.cursor().execute("COMMIT")
        done.result(60)
    assert rig.state("app.rekeyed")[0] == "waiting"
    rig.sidecar.start()
    rig.expect_current(COPIES)
    rig.sidecar.stop()


def test_owner_changes(rig):
    """The query runs as whoever owns the view now, also after REASSIGN OWNED, which no event trigger sees."""
    start(rig)
    rig.sql("CREATE ROLE heir LOGIN; GRANT USAGE ON SCHEMA app TO heir; GRANT SELECT ON app.orders, app.visit TO heir")
    rig.sql("CREATE ROLE founder LOGIN; GRANT ALL ON SCHEMA app TO founder; GRANT SELECT ON app.orders, app.visit TO founder")
    for copy in COPIES:
        rig.sql(f"ALTER VIEW {copy} OWNER TO founder")
    rig.sql("REASSIGN OWNED BY founder TO heir")
    rig.wait_until(
        lambda: rig.value("SELECT bool_and(has_table_privilege('heir', state, 'SELECT') AND NOT has_table_privilege('founder', state, 'SELECT')) FROM anabranch.definition"),
        "the heir to be given the state tables")
    rig.sql(CHANGES)
    rig.expect_current(COPIES)
    with contextlib.closing(rig.session(user="heir")) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM app.rekeyed")
        cursor.execute("SELECT anabranch.pause('app.rekeyed')")
    rig.wait_for_state("app.rekeyed", "paused")
    # A right that is taken away stops the copies that need it, and says so; nothing else stops.
    rig.sql("REVOKE SELECT ON app.visit FROM heir")
    rig.wait_until(lambda: rig.state("app.activity")[0] in ("failed", "stale", "paused"), "the copy without its right to stop")
    assert "heir" in (rig.state("app.activity")[2] or "") + str(rig.value("SELECT problem FROM anabranch.copies WHERE copy = 'app.activity'::regclass"))
    rig.expect_current({'app."by customer"': COPIES['app."by customer"']})
    rig.sidecar.stop()


def test_readers_on_a_standby(rig):
    """wait_for and is_fresh on a physical standby, where nobody can write a message."""
    start(rig)
    standby = rig.directory / "standby"
    standby.mkdir(mode=0o700)
    shutil.chown(standby, rig.cluster.server_user())
    run(rig, "runuser", "-u", rig.cluster.server_user(), "--", program(rig, "pg_basebackup"), "-D", str(standby), "-R", "-X", "stream", "-c", "fast")
    socket = rig.directory / "standby-socket"
    socket.mkdir()
    shutil.chown(socket, rig.cluster.server_user())
    control = ["runuser", "-u", rig.cluster.server_user(), "--", program(rig, "pg_ctl"), "-D", str(standby), "-w", "-l", str(standby / "log")]
    run(rig, *control, "-o", f"-c unix_socket_directories={socket} -c hot_standby_feedback=on", "start")
    try:
        with contextlib.closing(psycopg2.connect(host=str(socket), port=5432, user="postgres", dbname=rig.dbname)) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                for number in range(20):
                    rig.sql("INSERT INTO app.orders VALUES (%s, 77, 1, 'glad')", (7000 + number,))
                    written = rig.value("SELECT pg_current_wal_lsn()")
                    cursor.execute("SELECT anabranch.wait_for('app.rekeyed', %s, '30 s'), anabranch.wait_for('app.\"by customer\"', %s, '30 s')", (written, written))
                    cursor.execute("SELECT anabranch.is_fresh('app.rekeyed', %s), (SELECT sum(n) FROM app.\"by customer\" WHERE customer = 77)", (written,))
                    assert cursor.fetchone() == (True, number + 1)
                cursor.execute("SELECT anabranch.assert_fresh('app.rekeyed', '10 s')")
                cursor.execute("SELECT anabranch.wait_for('app.rekeyed', NULL, '30 s')")
                cursor.execute("SELECT count(*) FROM anabranch.status")
                cursor.execute("SELECT count(*) FROM anabranch.copies WHERE state = 'live'")
                assert cursor.fetchone() == (len(COPIES),)
    finally:
        run(rig, *control, "-m", "immediate", "stop")
    rig.sidecar.stop()


def test_idle_stream_stays_fresh(rig):
    """Where nobody writes, a copy is still known to be current, and a wait still ends."""
    start(rig)
    began = rig.value("SELECT clock_timestamp()")
    rig.wait_until(lambda: rig.value("SELECT current_as_of > %s + interval '3 s' FROM anabranch.copies WHERE copy = 'app.rekeyed'::regclass", (began,)),
                   "the copy to be current without a change")
    rig.sql("SELECT anabranch.assert_fresh('app.rekeyed', '60 s')")
    for _ in range(5):
        rig.wait_fresh("app.rekeyed")
    rig.sidecar.stop()
    assert rig.sql_error("SELECT pg_sleep(1.2), anabranch.assert_fresh('app.rekeyed', '1 s')").pgcode == "AN006"
