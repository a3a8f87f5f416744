"""The program's commands against servers in every state a DBA may have them in. Goal: each says what is the case and
what to do, changes only what it says, may be run again, and tells nobody a password. Method: bring a server into the
state, run the command as a child process, look at its words, its exit code and at what is in the server afterwards."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from rig import social
from rig.sidecar import PROGRAM

CANARY = "canary-0xS3cret"


def run(rig, *arguments, user="postgres", environment=None, status=None):
    """Runs a command to its end. Its output, both streams; demands the exit status if one is given. No output of any
    command ever holds the canary, which tests use as password."""
    done = subprocess.run(
        [PROGRAM, *arguments], env={**os.environ, **rig.cluster.settings(rig.dbname, user), **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    output = done.stdout.decode(errors="replace")
    assert CANARY not in output, output
    assert status is None or done.returncode == status, f"{arguments}: status {done.returncode}, not {status}:\n{output}"
    return output


def expect(output, *words):
    """The words are in the output, whatever line breaks stand between them."""
    flat = " ".join(output.split())
    for word in words:
        assert word in flat, f'"{word}" is not in:\n{output}'


def slots(rig):
    return [row[0] for row in rig.sql("SELECT slot_name FROM pg_replication_slots ORDER BY 1")]


def psql(rig, script, user="postgres"):
    bindir = rig.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
    return subprocess.run(
        [f"{bindir}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"], input=script, text=True,
        env={**os.environ, **rig.cluster.settings(rig.dbname, user)}, capture_output=True, timeout=60)


def restart(rig):
    rig.cluster.stop()
    rig.cluster.start()
    rig._connection = None


def write_config(rig, text, mode=0o600):
    path = rig.directory / f"settings-{time.monotonic_ns()}.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


# --- init ---------------------------------------------------------------------------------------------------------


def test_init_prepares_and_may_be_run_again(rig):
    rig.sql("DROP EXTENSION anabranch")
    output = run(rig, "init", status=0)
    expect(output, "extension has been created", "\"anabranch\" has been created", "\"anabranch_app\" has been created", "ready: anabranch run")
    assert slots(rig) == ["anabranch_app"]
    assert rig.sql("SELECT pubname, pubviaroot FROM pg_publication") == [("anabranch", True)]
    assert rig.sql("SELECT tablename FROM pg_publication_tables") == [("ddl",)]
    assert rig.sql("SELECT roname FROM pg_replication_origin") == [("anabranch_app",)]
    before = rig.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots")
    again = run(rig, "init", status=0)
    assert "done " not in again and "to do" not in again, again
    assert rig.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots") == before


def test_init_changes_no_settings_without_apply(make_rig):
    with make_rig(wal_level="replica", output_plugin_libraries="pgoutput, test_decoding") as rig:
        if not rig.sql("SELECT name FROM pg_settings WHERE name = 'output_plugin_libraries'"):
            return  # an older minor release
        output = run(rig, "init", status=1)
        expect(output, "write: wal_level = logical", "restart the server",
               "write: output_plugin_libraries = 'pgoutput, test_decoding, anabranch_decoder'", "not ready yet")
        auto_conf = pathlib.Path(rig.cluster.path, "data", "postgresql.auto.conf")
        assert "wal_level" not in auto_conf.read_text()
        assert slots(rig) == []
        output = run(rig, "init", "--apply", status=1)
        expect(output, "wal_level has been set to logical", "restart the server, then run anabranch init again")
        restart(rig)
        output = run(rig, "init", status=0)
        expect(output, "output_plugin_libraries lists anabranch_decoder", "ready")
        assert slots(rig) == ["anabranch_app"]


def test_init_mends_a_list_stored_as_one_name(rig):
    if not rig.sql("SELECT name FROM pg_settings WHERE name = 'output_plugin_libraries'"):
        return
    rig.sql("ALTER SYSTEM SET output_plugin_libraries = 'pgoutput, test_decoding'")
    rig.sql("SELECT pg_reload_conf()")
    rig.wait_until(lambda: '"' in rig.value("SHOW output_plugin_libraries"), "the reload")
    output = run(rig, "init", status=1)
    expect(output, "one name in quotes", "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, anabranch_decoder")
    run(rig, "init", "--apply", status=0)
    rig.wait_until(lambda: '"' not in rig.value("SHOW output_plugin_libraries"), "the reload")
    assert slots(rig) == ["anabranch_app"]


def test_init_where_the_library_is_missing(rig):
    rig.sql("ALTER DATABASE app SET dynamic_library_path = '/nowhere'")
    expect(run(rig, "init", status=1), "could not access file \"anabranch_decoder\"", "make install")
    rig.sql("ALTER DATABASE app RESET dynamic_library_path")
    run(rig, "init", status=0)


def test_init_names_who_keeps_the_slot_waiting(rig):
    with contextlib.closing(rig.session(autocommit=False)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE held (x int)")
        process = subprocess.Popen([PROGRAM, "init"], env=rig.sidecar.environment, stdout=subprocess.PIPE, text=True)
        output = ""
        while "waits up to" not in output:
            output += process.stdout.readline()
            assert process.poll() is None, output
        pid = session.info.backend_pid
        session.commit()
    output += process.stdout.read()
    assert process.wait(60) == 0, output
    expect(output, f"process {pid} of role postgres", "done slot")


def test_role_without_superuser_runs_the_sidecar(rig):
    run(rig, "init", "--role", "carrier", status=0)
    assert rig.sql("SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = 'carrier'") == [(False, True)]
    rig.allow_only_with_password("carrier")
    rig.sql(f"ALTER ROLE carrier PASSWORD '{CANARY}'")
    password = {"PGPASSWORD": CANARY}
    expect(run(rig, "check", user="carrier", environment=password, status=0), "role \"carrier\" may run the sidecar", "replication connection works")
    expect(run(rig, "check", user="carrier", status=1), "PGPASSWORD")
    expect(run(rig, "check", user="carrier", environment={"PGPASSWORD": "wrong"}, status=1), "password authentication failed", "correct the password")
    social.prepare(rig)
    rig.sidecar.environment.update({"PGUSER": "carrier", **password})
    rig.sidecar.start()
    rig.expect_current(social.COPIES)
    expect(run(rig, "status", user="carrier", environment=password, status=0), "running on", "public.user_activity")
    rig.sidecar.stop()
    assert CANARY not in rig.sidecar.log() + rig.cluster.log()


def test_init_without_rights_says_who_has_to_do_what(rig):
    rig.sql("DROP EXTENSION anabranch")
    rig.sql("CREATE ROLE nobody_special LOGIN")
    output = run(rig, "init", user="nobody_special", status=1)
    expect(output, "as a superuser run: CREATE EXTENSION anabranch;", "anabranch init --sql", "not ready yet")
    assert rig.sql("SELECT extname FROM pg_extension WHERE extname = 'anabranch'") == []


def test_script_does_what_init_does(rig):
    hostile = "It's $$ a \\ \"db\"; -- $body_1$ %s $(x) :name"
    rig.sql('CREATE DATABASE "' + hostile.replace('"', '""') + '"')
    role = "r'\"\\ :x $$"
    rig.sql("DROP EXTENSION anabranch")
    for dbname, arguments in {"app": [], hostile: ["--role", role]}.items():
        rig.dbname, rig._connection = dbname, None
        before = slots(rig)
        script = run(rig, "init", "--sql", *arguments, status=0)
        assert "ALTER SYSTEM" not in script
        assert slots(rig) == before
        for _ in range(2):
            done = psql(rig, script)
            assert done.returncode == 0, done.stderr
        output = run(rig, "init", *arguments, status=0)
        assert "ready" in output and "done " not in output, output
        assert len(slots(rig)) == len(before) + 1
    assert rig.sql("SELECT rolreplication FROM pg_roles WHERE rolname = %s", (role,)) == [(True,)]


def test_script_stops_where_the_server_cannot(make_rig):
    with make_rig(wal_level="replica") as rig:
        script = run(rig, "init", "--sql", status=0)
        done = psql(rig, script)
        assert done.returncode != 0 and "wal_level is replica, not logical" in done.stderr and "restart" in done.stderr
        done = psql(rig, run(rig, "init", "--sql", "--apply", status=0))
        assert done.returncode != 0 and "Restart the server" in done.stderr
        restart(rig)
        done = psql(rig, script)
        assert done.returncode == 0, done.stderr
        assert slots(rig) == ["anabranch_app"]
        done = psql(rig, run(rig, "init", "--sql", "-d", "other", status=0))
        assert done.returncode != 0 and "this is database app" in done.stderr


# --- check --------------------------------------------------------------------------------------------------------


def test_check_recognises_what_is_wrong(rig):
    expect(run(rig, "check", status=1), "slot \"anabranch_app\" does not exist", "-> anabranch init", "would not work")
    run(rig, "init", status=0)
    expect(run(rig, "check", status=0), "anabranch run would work")
    expect(run(rig, "check", "-d", "missing", status=1), "database \"missing\" does not exist", "createdb")
    expect(run(rig, "check", "-U", "missing", status=1), "role \"missing\" does not exist", "--role")
    expect(run(rig, "check", "-h", "/nowhere", status=1), "correct host and port")
    rig.sql("CREATE DATABASE without")
    expect(run(rig, "check", "-d", "without", status=1), "extension is not in the database")
    rig.sql("CREATE ROLE plain LOGIN")
    expect(run(rig, "check", user="plain", status=1), "lacks the attribute REPLICATION and membership in anabranch_sidecar", "init --role")
    access = pathlib.Path(rig.cluster.path, "data", "pg_hba.conf")
    access.write_text(f"local all plain reject\n{access.read_text()}")
    rig.sql("SELECT pg_reload_conf()")
    expect(run(rig, "check", user="plain", status=1), "pg_hba.conf", "the word replication there does not match")


def test_check_refuses_slots_of_others(rig):
    rig.sql("SELECT pg_create_logical_replication_slot('anabranch_app', 'test_decoding')")
    expect(run(rig, "check", status=1), "belongs to plugin \"test_decoding\"", "name another slot")
    expect(run(rig, "init", status=1), "belongs to plugin \"test_decoding\"")
    rig.sql("SELECT pg_drop_replication_slot('anabranch_app')")
    rig.sql("SELECT pg_create_physical_replication_slot('anabranch_app')")
    expect(run(rig, "init", status=1), "is a physical slot")
    config = write_config(rig, "[source.home]\nslot = \"ours\"\n")
    run(rig, "init", "-c", config, status=0)
    assert slots(rig) == ["anabranch_app", "ours"]


def test_check_sees_an_invalidated_slot(make_rig):
    with make_rig(max_slot_wal_keep_size="1MB", min_wal_size="32MB", max_wal_size="32MB") as rig:
        run(rig, "init", status=0)
        for _ in range(4):
            rig.sql("CREATE TABLE IF NOT EXISTS filler (x text)")
            rig.sql("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
            rig.sql("SELECT pg_switch_wal()")
            rig.sql("CHECKPOINT")
        output = run(rig, "check", status=1)
        expect(output, "has been invalidated", "pg_drop_replication_slot('anabranch_app')")
        # The remedy, as it stands there.
        rig.sql("SELECT pg_drop_replication_slot('anabranch_app')")
        run(rig, "init", status=0)
        run(rig, "check", status=0)


def test_pooler_is_recognised(rig):
    if shutil.which("pgbouncer") is None:
        print("    pgbouncer is not installed: not tested")
        return
    run(rig, "init", status=0)
    directory = rig.directory / "pooler"
    directory.mkdir(mode=0o777)
    for mode in ("session", "transaction"):
        settings = directory / f"{mode}.ini"
        settings.write_text(f"""[databases]
* = host={rig.cluster.socket} port=5432 user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {directory}
auth_type = any
pool_mode = {mode}
""")
        as_user = ["runuser", "-u", rig.cluster.server_user(), "--"] if os.getuid() == 0 else []
        shutil.chown(directory, rig.cluster.server_user())
        pooler = subprocess.Popen([*as_user, shutil.which("pgbouncer"), settings], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            rig.wait_until((directory / ".s.PGSQL.6432").exists, "the pooler")
            for command in ("check", "init"):
                output = run(rig, command, "-h", str(directory), "-p", "6432", status=1)
                expect(output, "connection pooler", "the server's own host and port")
        finally:
            pooler.terminate()
            pooler.wait(10)


# --- status -------------------------------------------------------------------------------------------------------


def status_of(rig, *arguments, status=None):
    return json.loads(run(rig, "status", "--json", *arguments, status=status))


def test_status_tells_by_exit_code_and_words(rig):
    social.prepare(rig)
    expect(run(rig, "status", status=2), "no sidecar has run yet")
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    seen = status_of(rig, status=0)
    assert seen["severity"] == "ok" and seen["source"]["sidecar_running"] and seen["source"]["slot"] == "anabranch_app"
    assert {copy["name"]: copy["state"] for copy in seen["copies"]} == {f"public.{name}": "live" for name in social.COPIES}
    screen = run(rig, "status", status=0)
    assert max(len(line) for line in screen.splitlines()) <= 100, screen
    expect(screen, "sidecar running on", "slot anabranch_app, active", "public.user_activity live", "level")

    rig.sql("SELECT anabranch.pause('user_activity')")
    rig.wait_for_state("user_activity", "paused")
    expect(run(rig, "status", status=1), "paused on request", "SELECT anabranch.resume('public.user_activity')")
    rig.sql("SELECT anabranch.resume('user_activity')")
    rig.wait_live("user_activity")

    rig.sidecar.kill()
    rig.wait_until(lambda: status_of(rig)["severity"] == "critical", "the silence to be noticed")
    expect(run(rig, "status", status=2), "the sidecar is not running: last seen", "anabranch run")


def test_status_shows_a_failed_copy_last(rig):
    rig.sql("CREATE TABLE entry (id int PRIMARY KEY, divisor int); ALTER TABLE entry REPLICA IDENTITY FULL")
    rig.init()
    rig.create("shares", "SELECT 100 / divisor AS share, count(*) AS n FROM entry GROUP BY 1")
    rig.sidecar.start()
    rig.wait_live("shares")
    rig.sql("INSERT INTO entry VALUES (1, 0)")
    rig.wait_for_state("shares", "failed")
    screen = run(rig, "status", status=2)
    expect("\n".join(screen.splitlines()[-3:]), "SELECT anabranch.rebuild('public.shares')")
    expect(screen, "22012: division by zero (in the transaction that ends at")
    assert status_of(rig)["copies"][0]["sqlstate"] == "22012"


def test_status_names_what_holds_back(make_rig):
    with make_rig(max_prepared_transactions=2) as rig:
        rig.init()
        rig.sidecar.start()
        rig.wait_until(lambda: status_of(rig)["severity"] == "ok", "the sidecar")
        with contextlib.closing(rig.session(autocommit=False)) as holder, holder.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT 'a \n query' AS " + '"x"')
            rig.sql("BEGIN; CREATE TABLE p (x int); PREPARE TRANSACTION 'it''s mine'")
            seen = status_of(rig)
            assert [prepared["gid"] for prepared in seen["prepared_transactions"]] == ["it's mine"]
            # A minute is what it takes to be worth a word; the test has no minute.
            assert seen["snapshot_holder"] is None
        rig.sql("ROLLBACK PREPARED 'it''s mine'")


def test_status_where_nothing_can_be_said(rig):
    rig.sql("CREATE DATABASE without")
    expect(run(rig, "status", "-d", "without", status=3), "anabranch is not in database \"without\"", "anabranch init")
    expect(run(rig, "status", "-h", "/nowhere", status=3), "unknown", "correct host and port")
    assert status_of(rig, "-h", "/nowhere", status=3)["severity"] == "unknown"
    run(rig, "status", "--bogus", status=3)
    run(rig, "status", "-c", "/nowhere.toml", status=3)
    rig.sql("CREATE ROLE plain LOGIN; CREATE ROLE observer LOGIN; GRANT anabranch_monitor TO observer")
    expect(run(rig, "status", user="plain", status=3), "GRANT anabranch_monitor")
    run(rig, "status", user="observer", status=1)


def test_status_watches(rig):
    rig.init()
    process = subprocess.Popen(
        [PROGRAM, "status", "--watch", "0.2", "--json"], env=rig.sidecar.environment, stdout=subprocess.PIPE, text=True)
    try:
        decoder, text, seen = json.JSONDecoder(), "", 0
        while seen < 3:
            text += process.stdout.readline()
            with contextlib.suppress(json.JSONDecodeError):
                _, end = decoder.raw_decode(text)
                text, seen = text[end:].lstrip(), seen + 1
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


# --- drop ---------------------------------------------------------------------------------------------------------


def test_drop_lists_first_and_takes_only_what_is_ours(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sql("SELECT pg_create_logical_replication_slot('anabranch_app_other', 'test_decoding')")
    rig.sql("CREATE PUBLICATION other FOR ALL TABLES")
    expect(run(rig, "drop", status=0), "would go copy public.user_activity", "would go slot anabranch_app", "would go publication anabranch", "nothing has been dropped")
    expect(run(rig, "drop", "--yes", status=1), "is running", "stop anabranch run")
    rig.wait_live(*social.COPIES)
    rig.sidecar.stop()
    expect(run(rig, "drop", "--yes", status=0), "gone copy public.user_activity", "gone publication", "stays extension")
    assert slots(rig) == ["anabranch_app_other"]
    assert rig.sql("SELECT pubname FROM pg_publication") == [("other",)]
    assert rig.sql("SELECT roname FROM pg_replication_origin") == []
    assert rig.sql("SELECT to_regclass('public.user_activity')") == [(None,)]
    run(rig, "drop", "--yes", "--extension", status=0)
    assert rig.sql("SELECT extname FROM pg_extension WHERE extname = 'anabranch'") == []
    assert rig.sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'anabranch%'") == [(0,)]
    expect(run(rig, "drop", "--yes", status=0), "nothing to drop")
    # And back again.
    run(rig, "init", status=0)


def test_drop_stops_at_what_others_depend_on(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sidecar.stop()
    rig.sql("CREATE VIEW mine AS SELECT user_id FROM user_activity")
    expect(run(rig, "drop", "--yes", status=1), "stays copy", "drop or change what depends on it")
    rig.sql("DROP VIEW mine")
    run(rig, "drop", "--yes", status=0)


# --- settings and names -------------------------------------------------------------------------------------------


def test_settings_file(rig):
    good = f"""batch_interval_max = "200 ms"
[source.home]
host = "{rig.cluster.socket}"
port = 5432
user = "postgres"
database = "app"
password = "{CANARY}"
slot = "my_slot"
publication = "My Publication"
[logging]
format = "json"
"""
    config = write_config(rig, good)
    run(rig, "init", "-c", config, status=0)
    assert slots(rig) == ["my_slot"]
    assert rig.sql("SELECT pubname FROM pg_publication") == [("My Publication",)]
    run(rig, "check", "--config", config, status=0)
    # The command line wins.
    expect(run(rig, "check", "--config", config, "-d", "missing", status=1), "\"missing\" does not exist")
    for text, words in {
        good.replace("port = 5432", "port = 70000"): [":4:8: source.home.port: is 70000, outside 1 to 65535; write a number"],
        good.replace("slot =", "slto ="): [":8:1: source.home.slto: is no key; did you mean slot?"],
        good + "level = 5\nlevel = 6\n": ["level: is written twice"],
        "\ufeff" + good: ["byte order mark"],
        good.replace("json", "js\0on"): ["NUL"],
        b"\xff" + good.encode(): [":1:"],
    }.items():
        output = run(rig, "run", "-c", write_config(rig, text), status=2)
        expect(output, *words)
    expect(run(rig, "run", "-c", write_config(rig, good, 0o644), status=2), ":7:12: source.home.password: is a password in a file that others can read", "chmod 600")
    expect(run(rig, "run", "-c", "/nowhere.toml", status=2), "/nowhere.toml: cannot be read")


def test_settings_are_reloaded(rig):
    rig.init()
    config = write_config(rig, 'batch_interval_max = "1 s"\n')
    rig.sidecar.arguments = ["-c", str(config)]
    rig.sidecar.start()
    rig.wait_until(lambda: "applying" in rig.sidecar.log(), "the start")
    config.write_text('batch_interval_max = "7 ms"\n')
    rig.sidecar.process.send_signal(signal.SIGHUP)
    rig.wait_until(lambda: "batch_interval_max_ms=7" in rig.sidecar.log(), "the reload")
    assert "next start" not in rig.sidecar.log()
    config.write_text('batch_interval_max = "8 ms"\n[kafka]\npartitions = 3\n')
    rig.sidecar.process.send_signal(signal.SIGHUP)
    rig.wait_until(lambda: "batch_interval_max_ms=8" in rig.sidecar.log(), "the second reload")
    expect(rig.sidecar.log(), "log and everything in [kafka] change with the next start only")
    config.write_text('batch_interval_max = 7\n')
    rig.sidecar.process.send_signal(signal.SIGHUP)
    rig.wait_until(lambda: "settings file refused" in rig.sidecar.log(), "the refusal")
    assert rig.sidecar.running()
    rig.sidecar.stop()


def test_databases_of_any_name_and_several_in_one_cluster(make_rig):
    names = ["app", "App", "a b;--", "x'\"\\y", "\U0001f418 %s $(x)", "n\nl", "app_fill_1", "x" * 63]
    with make_rig() as rig:
        with contextlib.closing(rig.cluster.connect()) as connection, connection.cursor() as cursor:
            for name in names[1:]:
                quoted = name.replace('"', '""')
                cursor.execute(f'CREATE DATABASE "{quoted}"')
        for name in names:
            output = run(rig, "init", environment={"PGDATABASE": name}, status=0)
            assert "\n\n" in output and "n\nl" not in output
            run(rig, "check", environment={"PGDATABASE": name}, status=0)
            run(rig, "status", environment={"PGDATABASE": name}, status=1)
        assert len(set(slots(rig))) == len(names)
        # Two of them at once: their origins are apart.
        others = [rig.another_sidecar(), rig.another_sidecar()]
        for sidecar, name in zip(others, names[:2]):
            sidecar.environment["PGDATABASE"] = name
            sidecar.start()
        for sidecar in others:
            rig.wait_until(lambda sidecar=sidecar: "applying" in sidecar.log(), "the start")
            sidecar.stop()
        for name in names:
            run(rig, "drop", "--yes", "--extension", environment={"PGDATABASE": name}, status=0)
        assert slots(rig) == []


def test_run_ends_with_the_reason(make_rig):
    with make_rig() as rig:
        output = run(rig, "run", status=1)
        expect(output, "slot", "anabranch init")
        output = run(rig, "run", "-d", "missing", status=1)
        expect(output, "missing")
        rig.allow_only_with_password("postgres2")
        rig.sql("CREATE ROLE postgres2 LOGIN SUPERUSER")
        output = run(rig, "run", user="postgres2", environment={"PGPASSWORD": CANARY}, status=1)
        expect(output, "password authentication failed")


def test_passwords_are_refused_as_arguments(rig):
    for arguments in (["-d", f"postgresql://me:{CANARY}@db/x"], ["-d", f"password={CANARY}"], [f"--password={CANARY}"], [CANARY]):
        run(rig, "run", *arguments, status=2)
    expect(run(rig, "run", "-d", f"password={CANARY}", status=2), "PGPASSWORD")
