"""An index that is not simply kept: paused and resumed, restored from a dump into another database, empty, beside an engine that is silent, fed
through Kafka by a sidecar that is killed. At the end of each it holds what its query says, as PostgreSQL computes it from the tables, and no document more."""

import contextlib
import json
import socket
import time

from catalog_test import program, run

import psycopg2

from rig import caches, needs, social
from rig.indexes import create_index, differences, ended, engine_sections, problem, redis_section, use_engines, verify, wait_complete
from rig.through_kafka import ThroughKafka

BY_USER = {"shape": "hash", "key": "user:{user_id}"}
CHANGES = """
    INSERT INTO users SELECT u, 'new' FROM generate_series(2001, 2100) AS u;
    INSERT INTO tweets (user_id, body) SELECT u, 'tweet' FROM generate_series(2001, 2100, 2) AS u;
    UPDATE tweets SET user_id = user_id % 1000 + 1 WHERE tweet_id % 10 = 0;
    DELETE FROM likes WHERE like_id % 7 = 0;
    DELETE FROM follows WHERE follower_id = 42 OR followee_id = 42;
    DELETE FROM tweets WHERE user_id = 42;
    DELETE FROM likes WHERE user_id = 42;
    DELETE FROM users WHERE user_id = 42;
"""


def create(rig, name="user_info", **options):
    create_index(rig, name, "cache", social.USER_ACTIVITY, ["user_id"], **{**BY_USER, **options})


def expected(rig, prefix="user:"):
    """{key: hash} as Redis.contents() has it, from the tables of the database that the rig is about."""
    return {f"{prefix}{row['user_id']}": row for row in caches.rows(rig, social.USER_ACTIVITY)}


def expect_holds(redis, want):
    have = redis.contents()
    different = [(key, want.get(key), have.get(key)) for key in want.keys() | have.keys() if want.get(key) != have.get(key)]
    assert not different, f"{len(different)} of {len(want)} keys differ (key, expected, found): {different[:5]}"


def index_state(rig, name="user_info"):
    return rig.value("SELECT state FROM anabranch.indexes WHERE index = %s::regclass", (name,))


def status(rig, name="user_info"):
    """[(state, level, problem)] of it as an index in anabranch.status."""
    return rig.sql("SELECT state, level, problem FROM anabranch.status WHERE kind = 'index' AND name = %s", (name,))


def test_a_paused_index_stays_as_it_is(rig, make_redis):
    redis = make_redis()
    rig.sql(social.SCHEMA)
    path = use_engines(rig, cache=redis_section(redis))
    create(rig)
    create_index(rig, "names", "cache", "SELECT user_id, name FROM users", ["user_id"])
    rig.sidecar.start()
    wait_complete(rig, "user_info", "names")
    rig.wait_fresh("user_info", "names")
    rig.sql("SELECT anabranch.pause('user_info')")
    rig.wait_until(lambda: index_state(rig) == "paused", "the pause")
    paused = expected(rig)

    def held():
        return {key: value for key, value in redis.contents().items() if key.startswith("user:")}

    rig.sql(CHANGES)
    rig.wait_fresh("names")  # which goes on, and has what came after
    rig.sidecar.kill()
    rig.sidecar.start()  # is no reason to go on
    rig.sql("INSERT INTO users VALUES (3000, 'after the pause')")
    rig.wait_fresh("names")
    assert held() == paused != expected(rig) and "names:42" not in redis.contents() and "names:3000" in redis.contents()
    assert [line[:1] + line[2:] for line in status(rig)] == [("paused", None)], status(rig)
    assert "paused" in rig.command("status", "--config", str(path), check=False).stdout
    assert rig.sql_error("SELECT anabranch.wait_for('user_info', timeout => '1 s')").pgcode == "AN002"

    rig.sql("SELECT anabranch.resume('user_info')")
    wait_complete(rig, "user_info")
    rig.wait_fresh("user_info")
    assert held() == expected(rig)
    assert verify(rig, "user_info")["differing"] == 0


# --- Dump and restore -----------------------------------------------------------------------------------------------


def restored(rig):
    """A copy of the rig's database by pg_dump, named "restored", which the rig is about from now on, and a sidecar for it. That of the original
    runs on."""
    script = rig.directory / f"{rig.log_path.name}.dump"
    script.write_text(run(rig, program(rig, "pg_dump")))
    rig.sql("CREATE DATABASE restored")
    run(rig, program(rig, "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(script), dbname="restored")
    sidecar = rig.another_sidecar()
    sidecar.environment["PGDATABASE"] = "restored"
    rig.dbname = "restored"
    rig.connection.close()
    return sidecar


@contextlib.contextmanager
def about(rig, dbname):
    """The rig's statements are for another database, for the block."""
    before = rig.dbname
    rig.dbname = dbname
    rig.connection.close()
    yield
    rig.dbname = before
    rig.connection.close()


def expect_original_kept(rig, redis, others=()):
    """The original's documents are its query's, after another change of its tables too; beside them there are `others`."""
    with about(rig, "app"):
        rig.sql("INSERT INTO likes (user_id, tweet_id) SELECT u, 1 FROM generate_series(1, 1000, 3) AS u")
        rig.wait_fresh("user_info")
        expect_holds(redis, {**expected(rig), **dict(others)})


def test_restored_beside_the_original(rig, make_redis):
    """With the engine that has the original's index: nothing is touched there until the index has another name."""
    redis = make_redis()
    rig.sql(social.SCHEMA)
    path = use_engines(rig, cache=redis_section(redis))
    create(rig)
    rig.sidecar.start()
    wait_complete(rig, "user_info")
    rig.wait_fresh("user_info")
    sidecar = restored(rig)
    sidecar.arguments = ["--config", str(path)]
    assert index_state(rig) == "unbound" and status(rig) == [("unbound", "critical", "restored from a dump, and not filled since")]

    rig.init()
    sidecar.start()
    rig.sql(CHANGES)
    create_index(rig, "names", "cache", "SELECT user_id, name FROM users", ["user_id"])
    wait_complete(rig, "names")
    rig.wait_fresh("names")  # the sidecar is there, and what was restored is still unbound
    names = {key: value for key, value in redis.contents().items() if key.startswith("names:")}
    assert index_state(rig) == "unbound"
    assert rig.sql_error("SELECT anabranch.rebuild('user_info')").pgcode == "AN002"
    expect_original_kept(rig, redis, names)

    rig.sql("SELECT anabranch.resume('user_info')")
    rig.wait_until(lambda: all(problem(rig, "user_info")), lambda: f"a problem with its remedy: {problem(rig, 'user_info')}\n{sidecar.log_tail()}")
    assert "belongs to another database" in problem(rig, "user_info")[0] and "option index" in problem(rig, "user_info")[1], problem(rig, "user_info")
    rig.wait_live("user_info")  # the copy is filled all the same
    expect_original_kept(rig, redis, names)

    rig.sql("SELECT anabranch.drop_index('user_info')")
    create(rig, "restored_info", key="restored:{user_id}")
    wait_complete(rig, "restored_info")
    rig.sql(CHANGES.replace("42", "43").replace("2001, 2100", "2201, 2300"))
    rig.wait_fresh("restored_info")
    assert verify(rig, "restored_info")["differing"] == 0
    rig.wait_fresh("names")
    expect_original_kept(rig, redis, {key: value for key, value in redis.contents().items() if key.startswith("names:")} | expected(rig, "restored:"))
    sidecar.stop()


def test_restored_beside_another_engine(rig, make_redis):
    """With an engine of its own the restored index keeps its name, and resume is all there is to do."""
    original, own = make_redis(), make_redis()
    rig.sql(social.SCHEMA)
    use_engines(rig, cache=redis_section(original))
    create(rig)
    rig.sidecar.start()
    wait_complete(rig, "user_info")
    rig.wait_fresh("user_info")
    sidecar = restored(rig)
    path = rig.directory / f"{rig.log_path.name}.restored.toml"
    path.write_text(engine_sections(cache=redis_section(own)))
    path.chmod(0o600)
    sidecar.arguments = ["--config", str(path)]
    rig.init()
    sidecar.start()
    rig.sql(CHANGES)
    rig.sql("SELECT anabranch.resume(copy) FROM anabranch.copies WHERE state = 'unbound'")
    wait_complete(rig, "user_info")
    rig.wait_fresh("user_info")
    expect_holds(own, expected(rig))
    assert verify(rig, "user_info")["differing"] == 0
    expect_original_kept(rig, original)
    sidecar.stop()


# --- Dropped before it was begun ---------------------------------------------------------------------------------


def test_a_name_is_free_again(rig, make_redis):
    """Whatever an index had at its engine when it was dropped, another of its name can be made."""
    redis = make_redis()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) AS i")
    use_engines(rig, cache=redis_section(redis))
    rig.sidecar.start()
    for _ in range(5):
        create_index(rig, "item_cache", "cache", "SELECT id, name FROM item", ["id"], shape="hash")
        rig.wait_until(lambda: redis.command("EXISTS", "anabranch:item_cache:checkpoint") == "1", "the index to be begun")
        rig.sql("SELECT anabranch.drop_index('item_cache')")
    create_index(rig, "item_cache", "cache", "SELECT id, name FROM item", ["id"], shape="hash")
    wait_complete(rig, "item_cache")
    rig.sql("SELECT anabranch.drop_index('item_cache')")
    rig.wait_until(lambda: redis.command("DBSIZE") == "0", "all of it to be removed")


def test_an_engine_is_tried_while_the_copy_is_filled(rig, make_redis):
    """What it has to say against an index is told before the copy is there, and no longer when it has been put right."""
    redis = make_redis()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'one')")
    use_engines(rig, cache=redis_section(redis))
    create_index(rig, "item_cache", "cache", "SELECT id, name FROM item", ["id"], shape="hash")
    redis.command("ACL", "SETUSER", "default", "-multi")
    with rig.session(autocommit=False) as writer:
        writer.cursor().execute("INSERT INTO item VALUES (2, 'two')")  # a fill waits for it
        rig.sidecar.start()
        rig.wait_until(lambda: all(problem(rig, "item_cache")), lambda: f"a problem with its remedy\n{rig.sidecar.log_tail()}")
        assert "'multi'" in problem(rig, "item_cache")[0] and rig.state("item_cache")[0] != "live"
        redis.command("ACL", "SETUSER", "default", "+multi")
        rig.wait_until(lambda: problem(rig, "item_cache") == (None, None), "no problem any more")
        assert rig.state("item_cache")[0] != "live" and redis.command("EXISTS", "anabranch:item_cache:checkpoint") == "1"
        writer.commit()
    wait_complete(rig, "item_cache")
    assert len(redis.contents()) == 2


def test_an_empty_index_is_made_anew(rig, make_redis):
    """Without a document, too, it is known which generation the engine has, and nothing is taken for lost."""
    redis = make_redis()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'only')")
    use_engines(rig, cache=redis_section(redis))
    create_index(rig, "item_cache", "cache", "SELECT id, name FROM item", ["id"], shape="hash")
    rig.sidecar.start()
    wait_complete(rig, "item_cache")
    rig.sql("DELETE FROM item")
    rig.wait_fresh("item_cache")
    rig.sql("SELECT anabranch.alter_index('item_cache', options => '{\"shape\": \"hash\", \"key\": \"item:{id}\"}')")
    wait_complete(rig, "item_cache")
    rig.sidecar.stop()
    rig.sidecar.start()
    rig.sql("INSERT INTO item VALUES (2, 'another')")
    rig.wait_fresh("item_cache")
    assert redis.contents() == {"item:2": {"id": "2", "name": "another"}}
    assert "is filled anew" not in rig.sidecar.log() and problem(rig, "item_cache") == (None, None)


def test_dropped_while_it_is_filled(rig, make_redis):
    """Whoever drops a copy waits for a piece of the fill, and no more; nobody is thrown out."""
    redis = make_redis()
    use_engines(rig, cache=redis_section(redis))
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); ALTER TABLE item REPLICA IDENTITY FULL;"
            "INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100000) AS i")
    rig.sidecar.start()
    for number in range(6):
        if number % 2:
            create_index(rig, "filled", "cache", "SELECT id, name FROM item", ["id"])
        else:
            rig.sql("SELECT anabranch.create_aggregate_table('filled', 'SELECT id, name FROM item')")
        rig.wait_until(lambda: rig.value("SELECT fill_rows > 0 FROM anabranch.copies"), "the fill to begin")
        rig.sql("SELECT anabranch.drop_index('filled')" if number % 2 else "SELECT anabranch.drop_aggregate_table('filled')")
    assert "deadlock" not in rig.sidecar.log()
    # Nor does one that is not committed keep others waiting.
    rig.sql("SELECT anabranch.create_aggregate_table('counted', 'SELECT count(*) AS n FROM item')")
    rig.wait_live("counted")
    rig.sql("SELECT anabranch.create_aggregate_table('filled', 'SELECT id, name FROM item')")
    rig.wait_until(lambda: rig.value("SELECT fill_rows > 0 FROM anabranch.copies WHERE copy = 'filled'::regclass"), "the fill to begin")
    with contextlib.closing(rig.session(autocommit=False)) as session, session.cursor() as cursor:
        cursor.execute("DROP VIEW filled")
        rig.sql("INSERT INTO item VALUES (0, 'more')")
        rig.wait_fresh("counted")
        session.commit()


def test_key_columns_of_other_types(rig, make_redis):
    """The next definition of an index, or its rebuild after DDL, may have them: changes are noted by keys of those types."""
    redis = make_redis()
    use_engines(rig, cache=redis_section(redis))
    rig.sql("""
        CREATE TYPE mood AS ENUM ('sad', 'glad', 'mad');
        CREATE TABLE item (id int PRIMARY KEY, price numeric(10, 2), word varchar(10) COLLATE "C", m mood, v int);
        ALTER TABLE item REPLICA IDENTITY FULL;
        INSERT INTO item SELECT i, i, 'word' || i, (enum_range(NULL::mood))[1 + i % 3], i FROM generate_series(1, 50) AS i""")
    columns = {"by_id": "id", "by_price": "price", "by_word": "word", "by_mood": "m"}
    for name, column in columns.items():
        query = f"SELECT {column} AS k, sum(v) AS v FROM item GROUP BY {column}" if name in ("by_price", "by_mood") else f"SELECT {column} AS k, v FROM item"
        create_index(rig, name, "cache", query, ["k"], shape="hash", key=name + ":{k}")
    rig.sidecar.start()
    wait_complete(rig, *columns)

    def expect_equal():
        rig.wait_fresh(*columns)
        held = redis.contents()
        for name in columns:
            rows = rig.sql(f"SELECT k::text, v::text FROM {name}")
            assert rows and {key: value for key, value in held.items() if key.startswith(name + ":")} == {f"{name}:{k}": {"k": k, "v": v} for k, v in rows}, name

    def change():
        rig.sql("INSERT INTO item SELECT max(id) + 1, max(price) + 1.2345, 'a long word ' || max(id), 'glad', 1 FROM item;"
                "UPDATE item SET v = v + 100 WHERE id % 5 = 0; DELETE FROM item WHERE id = (SELECT min(id) FROM item)")

    expect_equal()
    rig.sql("SELECT anabranch.alter_index('by_id', query => 'SELECT id + 0.4 AS k, v FROM item')")
    rig.sql("ALTER TABLE item ALTER price TYPE numeric(12, 4), ALTER word TYPE varchar(50) COLLATE \"en_US\""
            if rig.value("SELECT count(*) FROM pg_collation WHERE collname = 'en_US'") else "ALTER TABLE item ALTER price TYPE numeric(12, 4), ALTER word TYPE varchar(50)")
    rig.sql("ALTER TYPE mood RENAME VALUE 'mad' TO 'angry'")
    for name in columns:
        if name != "by_id":
            rig.sql("SELECT anabranch.rebuild(%s)", (name,))
    rig.wait_until(lambda: rig.value("SELECT count(*) = 0 FROM anabranch.verifications WHERE state IN ('queued', 'running')"), "the runs to end")
    wait_complete(rig, *columns)
    for _ in range(3):
        change()
        expect_equal()
    # Where types have changed, the pending keys have a table of another name than the former ones, which are gone.
    assert {name: made_anew for name, made_anew in rig.sql("""
        SELECT x.copy::text, c.relname = format('pending_%s_%s', d.id, x.generation)
        FROM anabranch.external_index AS x JOIN anabranch.definition AS d USING (copy) JOIN pg_class AS c ON c.oid = x.pending""")
    } == {"by_id": True, "by_price": True, "by_word": True, "by_mood": False}
    assert rig.value("SELECT count(*) FROM pg_class WHERE relname ~ '^pending_' AND relkind = 'r'") == len(columns)


def test_a_turn_is_void_when_the_index_is_to_be_made_anew(rig, make_redis):
    """What it has sent counts for nothing: recorded, it would say of the next generation that it has it."""
    redis = make_redis()
    use_engines(rig, cache=redis_section(redis))
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'one')")
    create_index(rig, "item_cache", "cache", "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    wait_complete(rig, "item_cache")
    rig.sidecar.stop()
    token = rig.value("SELECT token FROM anabranch.source")

    def seen():
        return rig.value("SELECT seen FROM anabranch.delivery_state('item_cache'::regclass, 1)")

    def record(seen, filled=None):
        rig.sql("SELECT anabranch.record_delivery('item_cache'::regclass, %s, %s, NULL, NULL, NULL, NULL, NULL, 0, %s, '{\"id\": 1}', 1, NULL, NULL, false)",
                (token, seen, filled))

    def alter():
        rig.sql("SELECT anabranch.alter_index('item_cache', options => options) FROM anabranch.indexes")

    def progress():
        return rig.sql("SELECT filled, swept_to FROM anabranch.index_progress")[0]

    before = seen()
    alter()
    for filled in (None, 2):
        try:
            record(before, filled)
            raise AssertionError("recorded")
        except psycopg2.errors.SerializationFailure:
            assert progress() == (1, None)
    record(seen())
    assert progress() == (1, {"id": 1})
    # One that had published its generation by then has published it.
    before = seen()
    alter()
    record(before, 2)
    assert progress() == (2, None)
    rig.sql("TRUNCATE item")
    rig.sidecar.start()
    wait_complete(rig, "item_cache")
    assert redis.contents() == {}


# --- Engines that do not answer -----------------------------------------------------------------------------------


def test_an_engine_that_is_silent_holds_up_nobody(rig, make_redis):
    """Not those of another engine, not even by what is to be removed from it, and no snapshot is held; and a stop ends every wait."""
    redis = make_redis()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) AS i")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_engines(rig, cache=redis_section(redis), silent={"kind": "redis", "url": f"redis://127.0.0.1:{silent.getsockname()[1]}"})
        for name in ("never", "dropped"):
            create_index(rig, name, "silent", "SELECT id, name FROM item", ["id"])
        rig.sidecar.start()
        rig.wait_live("never", "dropped")
        rig.sql("SELECT anabranch.drop_index('dropped')")
        create_index(rig, "first", "cache", "SELECT id, name FROM item", ["id"])
        wait_complete(rig, "first", seconds=30)  # less than the silent engine is waited for
        create_index(rig, "second", "cache", "SELECT id, name FROM item", ["id"])
        wait_complete(rig, "second", seconds=30)
        held = rig.sql("SELECT application_name, state, clock_timestamp() - xact_start FROM pg_stat_activity WHERE application_name LIKE 'anabranch %' "
                       "AND state LIKE 'idle in transaction%' AND xact_start < clock_timestamp() - interval '1 s'")
        assert not held, held
        rig.sidecar.stop()


def test_a_stop_ends_the_note_of_a_problem(rig):
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text)")
    use_engines(rig, away={"kind": "redis", "url": "redis://127.0.0.1:1"})
    create_index(rig, "item_cache", "away", "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    rig.wait_until(lambda: problem(rig, "item_cache")[0], "a problem")
    with rig.session() as session, session.cursor() as cursor:
        cursor.execute("BEGIN; SELECT FROM anabranch.index_progress FOR UPDATE")
        rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'anabranch index' AND wait_event_type = 'Lock'"),
                       "the next note of it")
        rig.sidecar.stop()


# --- Keys alone -----------------------------------------------------------------------------------------------------


def test_keys_that_are_compared_are_not_written(rig, make_redis):
    """However many they are: only a run that repairs does."""
    redis = make_redis()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 10000) AS i")
    use_engines(rig, cache=redis_section(redis))
    create_index(rig, "item_cache", "cache", "SELECT id, name FROM item", ["id"], shape="hash")
    rig.sidecar.start()
    wait_complete(rig, "item_cache")
    redis.command("HSET", "item_cache:999", "name", "spoilt")  # among the last keys, in the order of their texts
    keys = rig.value("SELECT jsonb_agg(jsonb_build_object('id', id)) FROM item")
    run = ended(rig, rig.value("SELECT anabranch.verify('item_cache', 'keys', %s::jsonb, 1)", (json.dumps(keys),)))
    assert (run["differing"], run["documents_compared"]) == (1, 10000), (run["reason"], run["verdict"])
    assert differences(rig, run["run"]) == [("wrong", {"id": 999}, None)]
    assert redis.command("HGET", "item_cache:999", "name") == "spoilt"


# --- Through Kafka --------------------------------------------------------------------------------------------------


@needs(seconds=40)
def test_fed_through_kafka(rig, kafka, make_redis, rng):
    redis = make_redis()
    through = ThroughKafka(rig, kafka)
    through.path.write_text(through.path.read_text() + engine_sections(cache=redis_section(redis)))
    through.prepare(copies={})
    create(rig)
    through.publisher.start()
    with rig.load(social.LOAD):
        time.sleep(1)
    assert redis.contents() == {}, "who only publishes delivers nothing"
    through.applier.start()
    wait_complete(rig, "user_info")
    for _ in range(3):
        social.change(rig, rng, 40)
        rig.wait_fresh("user_info")
        expect_holds(redis, expected(rig))
    for _ in range(8):
        with rig.load(social.LOAD):
            time.sleep(rng.choice([0.1, 0.5, 1.5]) * rng.random())
            through.applier.kill()
            if rng.random() < 0.3:
                social.change(rig, rng, 5)  # published while nobody applies
            through.applier.start()
        rig.wait_fresh("user_info")
        expect_holds(redis, expected(rig))
    assert verify(rig, "user_info")["differing"] == 0
    through.applier.stop()
    through.publisher.stop()
    through.audit()
