"""What goes wrong round an index in Redis: kills of everybody, a Redis that loses what it had or is full, other people's keys, two
sidecars. After each the index holds what its query says, or the reason why not is told with the remedy."""

import json
import os
import pathlib
import re
import shutil
import time

from kill_test import failpoints

from rig import caches, needs, social
from rig.indexes import (create_index, differences, ended, kill_at_each_step, kill_everybody, problem, redis_section, use_engines, verify,
                         wait_complete)

KILLS = int(os.environ.get("ANABRANCH_KILLS", "200"))


def start(rig, redis, **more):
    path = caches.create_all(rig, redis, **more)
    rig.sidecar.start()
    wait_complete(rig, *caches.INDEXES)
    return path


def start_items(rig, redis, count):
    """An index "item_cached" of so many hashes "item:1" and on, each with the fields id and name."""
    use_engines(rig, cache=redis_section(redis))
    rig.sql(f"CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, {count}) AS i")
    create_index(rig, "item_cached", "cache", "SELECT id, name FROM item", ["id"], shape="hash", key="item:{id}")
    rig.sidecar.start()
    wait_complete(rig, "item_cached")


@needs(seconds=60)
def test_sidecar_killed_at_each_step(rig, make_redis, rng):
    redis = make_redis()
    caches.create_all(rig, redis)

    def damage():
        users = [key for key in redis.contents() if key.startswith("user:")]
        for user in rng.sample(users, min(len(users), 20)):  # some of them, at least, do not change meanwhile
            redis.command("HSET", user, "likes", "-1")
        return bool(users)

    kill_at_each_step(rig, rng, failpoints("index"), counts=(1, 7), seconds=60, verified="user_info", damage=damage)
    caches.expect_equal(rig, redis)


@needs(seconds=60)
def test_everybody_killed_at_random(rig, make_redis, rng):
    redis = make_redis()
    start(rig, redis)
    kill_everybody(rig, rng, redis, max(KILLS // 40, 2), 2, caches.expect_equal)


def test_flushall_and_an_old_state(rig, make_redis, rng):
    redis = make_redis()
    start(rig, redis)
    assert redis.command("FLUSHALL") == "OK"
    rig.wait_until(lambda: rig.sidecar.log().count("made anew") == len(caches.INDEXES), "the loss to be noticed")
    wait_complete(rig, *caches.INDEXES)
    caches.expect_equal(rig, redis)

    # The files of a backup, made while the server stood still.
    redis.stop()
    kept = f"{redis.path}.kept"
    shutil.copytree(redis.path, kept)
    redis.start()
    social.change(rig, rng, 60)
    caches.expect_equal(rig, redis)
    redis.stop()
    for item in pathlib.Path(redis.path).iterdir():
        if item.is_dir() and item.name != "socket":
            shutil.rmtree(item)
            shutil.copytree(pathlib.Path(kept, item.name), item)
    shutil.rmtree(kept)
    redis.start()
    rig.wait_until(lambda: rig.sidecar.log().count("gone back in time") == len(caches.INDEXES), "the old state to be noticed")
    wait_complete(rig, *caches.INDEXES)
    caches.expect_equal(rig, redis)
    # What somebody has written for a version.
    redis.command("HSET", "anabranch:user_info:checkpoint", "version", "zzz")
    rig.wait_until(lambda: rig.sidecar.log().count("gone back in time") == len(caches.INDEXES) + 1, "the version to be noticed")
    wait_complete(rig, *caches.INDEXES)
    caches.expect_equal(rig, redis)
    assert rig.sidecar.log().count("gone back in time") == len(caches.INDEXES) + 1


def test_a_lost_end_of_a_turn_is_noticed(rig, make_redis):
    """Of many transactions of a turn the engine comes back without the last."""
    redis = make_redis()
    start_items(rig, redis, 3000)
    rig.sql("UPDATE item SET name = name || '!'")
    rig.wait_fresh("item_cached")
    rig.sidecar.stop()
    redis.stop()
    log, = pathlib.Path(redis.path, "appendonlydir").glob("*.incr.aof")
    written = log.read_bytes()
    transactions = [begin.start() for begin in re.finditer(rb"\*1\r\n\$5\r\nMULTI\r\n", written)] + [len(written)]
    last = max(begin for begin, end in zip(transactions, transactions[1:]) if b"item:" in written[begin:end])
    log.write_bytes(written[:last])
    redis.start()
    assert not all(value["name"].endswith("!") for value in redis.contents().values())
    rig.sidecar.start()
    rig.wait_until(lambda: "gone back in time" in rig.sidecar.log(), "the loss to be noticed")
    wait_complete(rig, "item_cached")
    rig.wait_fresh("item_cached")
    assert sum(value["name"].endswith("!") for value in redis.contents().values()) == 3000


def test_full_memory_is_waited_for(rig, make_redis):
    redis = make_redis(maxmemory="4mb", maxmemory_policy="noeviction")
    rig.sql("CREATE TABLE page (id int PRIMARY KEY, body text)")
    use_engines(rig, cache=redis_section(redis))
    create_index(rig, "page_cache", "cache", "SELECT id, body FROM page", ["id"])
    rig.sidecar.start()
    wait_complete(rig, "page_cache")
    rig.sql("INSERT INTO page SELECT i, repeat('x', 10000) FROM generate_series(1, 1000) AS i")
    rig.wait_until(lambda: "memory" in (problem(rig, "page_cache")[0] or ""), lambda: f"the problem to be told: {problem(rig, 'page_cache')}")
    assert rig.value("SELECT level FROM anabranch.status WHERE kind = 'index'") == "critical"
    redis.command("CONFIG", "SET", "maxmemory", "100mb")
    rig.wait_fresh("page_cache")
    assert len(redis.contents()) == 1000 and problem(rig, "page_cache")[0] is None


def test_keys_that_no_key_can_be(rig, make_redis):
    """What somebody has written into our bookkeeping is found and goes, whatever JSON it is or is not."""
    redis = make_redis()
    start_items(rig, redis, 100)
    right = redis.contents()
    odd = [r'{"id": "x\u0000"}', '{"id": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"id": 1e999999}', r'{"id": "\ud800"}', '{"id": "no number"}', '{"id": 1}, {"id": 2}',
           "no key", '{"id', "\0", b'{"id": "\xff"}']
    with redis.client() as call:
        # As an entry of ours, but for the key.
        entry = call("HGET", "anabranch:item_cached:documents", "item:1")
        assert entry.endswith(b'{"id": 1}'), entry

        def plant():
            for number, key in enumerate(odd):
                call("HSET", "anabranch:item_cached:documents", f"item:odd{number}", entry.removesuffix(b'{"id": 1}') + (key if isinstance(key, bytes) else key.encode()))
                call("HSET", f"item:odd{number}", "id", "1")

        plant()
        run = verify(rig, "item_cached", "index")
        assert (run["state"], run["differing"]) == ("done", len(odd)), run
        run = verify(rig, "item_cached", "index", repair=True)
        assert (run["state"], run["repaired"], run["left_over"]) == ("done", len(odd), 0), run
        assert redis.contents() == right
        plant()
        rig.sql("SELECT anabranch.alter_index(index, options => options) FROM anabranch.indexes")
        wait_complete(rig, "item_cached")
        assert redis.contents() == right


def test_a_key_of_several_rows_is_told_and_left(rig, make_redis):
    """Nobody knows which of them is right: what the index has of it stays, filled anew or not, and each proof tells."""
    redis = make_redis()
    use_engines(rig, cache=redis_section(redis))
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) AS i")
    create_index(rig, "by_name", "cache", "SELECT name, id FROM item", ["name"], shape="hash", key="{name}")
    rig.sidecar.start()
    wait_complete(rig, "by_name")
    right = redis.contents()
    rig.sql("INSERT INTO item SELECT 100 + i, 'item ' || i FROM generate_series(1, 3) AS i; INSERT INTO item VALUES (201, 'new'), (202, 'new')")
    rig.wait_fresh("by_name")

    def expect_told():
        for repair in (False, True):
            run = verify(rig, "by_name", "index", repair=repair)
            assert (run["state"], run["differing"], run["left_over"]) == ("done", 4, 4), run
            assert [kind for kind, _, _ in differences(rig, run["run"])] == ["refused"] * 4, differences(rig, run["run"])
        assert redis.contents() == right

    expect_told()
    rig.sql("SELECT anabranch.alter_index('by_name', options => options) FROM anabranch.indexes")
    wait_complete(rig, "by_name")
    expect_told()
    rig.sql("DELETE FROM item WHERE id > 100")
    rig.wait_fresh("by_name")
    assert verify(rig, "by_name", "index")["differing"] == 0 and redis.contents() == right


def test_what_is_too_much_goes_while_rows_change(rig, make_redis):
    """Nobody has named the keys that a TRUNCATE takes away: the index is looked through for them, in many turns, and what changes is delivered."""
    redis = make_redis()
    start_items(rig, redis, 40000)
    rig.sidecar.stop()
    rig.sql("TRUNCATE item; INSERT INTO item SELECT i, 'new' FROM generate_series(39991, 40010) AS i")
    rig.sidecar.start()
    with rig.load("\\set i random(39991, 40020)\nINSERT INTO item VALUES (:i, 'loaded') ON CONFLICT (id) DO UPDATE SET name = item.name || '.';\n"
                  "DELETE FROM item WHERE id = :i + 1;\n\\sleep 5 ms\n"):
        wait_complete(rig, "item_cached")
    rig.wait_fresh("item_cached")
    assert redis.contents() == {f"item:{id}": {"id": str(id), "name": name} for id, name in rig.sql("SELECT id, name FROM item")}


def longest_transaction(rig, application, seconds):
    """How old, in seconds, the oldest transaction of the program's sessions of that name has been within so many."""
    oldest, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        age = rig.value("SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity WHERE application_name = %s", (application,))
        oldest = max(oldest, float(age or 0))
        time.sleep(0.02)
    return oldest


def test_silent_and_refusing_in_the_midst_of_a_fill(rig, make_redis):
    """No snapshot waits for an engine that has fallen silent, nor in a comparison; and what the last turn of a fill has sent in vain is sent again."""
    redis = make_redis()
    use_engines(rig, cache=redis_section(redis))
    rig.sql("CREATE TABLE page (id int PRIMARY KEY, body text); INSERT INTO page SELECT i, repeat('x', 3000) FROM generate_series(1, 30000) AS i")
    # All keys but the last one.
    redis.command("ACL", "SETUSER", "default", "resetkeys", "~anabranch:*", "~page:[12]????", "~page:?", "~page:??", "~page:???", "~page:????")
    create_index(rig, "page_cache", "cache", "SELECT id, body FROM page", ["id"], shape="json", key="page:{id}")
    rig.sidecar.start()
    with redis.client() as call:
        rig.wait_until(lambda: call("DBSIZE") > 100, "the first documents")
        call("CLIENT", "PAUSE", "6000", "WRITE")
    assert longest_transaction(rig, "anabranch index", 6) < 4.5
    rig.wait_until(lambda: "NOPERM" in (problem(rig, "page_cache")[0] or ""), lambda: f"the problem to be told: {problem(rig, 'page_cache')}")
    assert 0 < rig.value("SELECT swept FROM anabranch.index_progress") < 30000  # so it was not the first turn that failed
    redis.command("ACL", "SETUSER", "default", "allkeys")
    wait_complete(rig, "page_cache")
    held = redis.contents()
    assert len(held) == 30000 and "page:30000" in held, len(held)

    run = rig.value("SELECT anabranch.verify('page_cache', 'index', duty => 1)")
    rig.wait_until(lambda: rig.value("SELECT documents > 0 FROM anabranch.verification WHERE run = %s", (run,)), "the comparison to begin")
    redis.command("CLIENT", "PAUSE", "4000", "ALL")
    assert longest_transaction(rig, "anabranch verifier", 4) < 2
    assert ended(rig, run)["differing"] == 0


def test_damage_is_found_and_mended(rig, make_redis, rng):
    redis = make_redis()
    start(rig, redis)
    rig.wait_fresh(*caches.INDEXES)
    redis.command("HSET", "user:7", "likes", "-1")
    redis.command("DEL", "user:8")
    redis.command("HSET", "user:9", "note", "not ours")
    redis.command("SET", "tweet:77", "{}")
    redis.command("ZADD", "heaviest:5", "77", "nobody")
    redis.command("SREM", "following:3", redis.command("SRANDMEMBER", "following:3"))
    for name, classes in {"user_info": ["missing", "wrong", "wrong"], "tweet": ["wrong"], "following": ["missing"]}.items():
        run = verify(rig, name, "index")
        found = differences(rig, run["run"])
        assert run["state"] == "done" and [kind for kind, _, _ in found] == classes and run["differing"] == len(classes), (run, found)
        mended = ended(rig, rig.value("SELECT anabranch.repair(%s)", (run["run"],)))
        assert mended["state"] == "done" and mended["repaired"] == len(classes) and mended["left_over"] == 0, (mended, differences(rig, mended["run"]))
        again = verify(rig, name)
        assert again["differing"] == 0 and again["documents_compared"] > 0, (again, differences(rig, again["run"]))
    # A key that somebody holds as another type is refused, and taken when it is free again.
    redis.command("DEL", "user:10")
    redis.command("SADD", "user:10", "somebody's")
    run = verify(rig, "user_info", "index", repair=True)
    assert [kind for kind, _, _ in differences(rig, run["run"])] == ["refused"] and run["left_over"] == 1, (run, differences(rig, run["run"]))
    assert "another type" in rig.value("SELECT reason FROM anabranch.dead_letters")
    redis.command("DEL", "user:10")
    assert verify(rig, "user_info", "index", repair=True)["left_over"] == 0 and rig.sql("SELECT reason FROM anabranch.dead_letters") == []
    # Nothing is taken for damage that is on its way, and nothing that is repaired overwrites what is newer.
    with rig.load(social.STEADY_LOAD):
        for _ in range(5):
            user = rng.randint(1, 1000)
            redis.command("HSET", f"user:{user}", "likes", "-1")
            redis.command("DEL", f"tweet:{rng.randint(1, 5000)}")
            for name, most in {"user_info": 1, "tweet": 1, "heaviest": 0, "following": 0}.items():
                run = verify(rig, name, "index", repair=True)
                assert run["state"] == "done" and run["differing"] <= most and run["left_over"] == 0, (run, differences(rig, run["run"]))
    # An engine that is away is waited for, and what has been proved is not proved again.
    redis.kill()
    run = rig.value("SELECT anabranch.verify('user_info', duty => 1)")
    rig.wait_until(lambda: rig.value("SELECT waiting ~ 'Redis' AND keys_compared > 0 FROM anabranch.verifications WHERE run = %s", (run,)), "the verification to wait")
    redis.start()
    assert ended(rig, run)["differing"] == 0 and rig.sidecar.log().count(f"(copy=\"public.user_info\" run={run} mode") == 1
    redis.command("ZREM", "heaviest:5", "nobody")  # a member that no bookkeeping knows is nobody's to find
    caches.expect_equal(rig, redis)


def test_repairs_before_a_kill_are_told(rig, make_redis):
    """A run that is killed after it has repaired something goes on, and what it had repaired is noted and counts; of more than are noted, too."""
    redis = make_redis()
    start(rig, redis)
    rig.wait_fresh(*caches.INDEXES)
    rig.sidecar.stop()
    gone = sorted((key for key in redis.contents() if key.startswith("tweet:")), key=lambda key: int(key.removeprefix("tweet:")))[:100]
    redis.command("DEL", *gone)
    rig.sidecar.start(failpoint="index_compared:2")
    run = rig.value("SELECT anabranch.verify('tweet', 'index', duty => 1, repair => true)")
    assert rig.sidecar.wait(60) == -9
    assert len(differences(rig, run)) == 100
    rig.sidecar.start()
    end = ended(rig, run)
    assert (end["differing"], end["repaired"], end["left_over"]) == (100, 100, 0) and end["verdict"].endswith("all of them repaired"), end
    assert [outcome for _, _, outcome in differences(rig, run)] == ["repaired"] * 100
    caches.expect_equal(rig, redis)


def test_repairs_of_the_copy_before_a_kill_are_told(rig, make_redis):
    """Also when the copy has been proved again since."""
    redis = make_redis()
    start_items(rig, redis, 3000)
    rig.sidecar.stop()
    rig.sql("UPDATE anabranch_data.item_cached SET name = 'spoilt' WHERE id > 2950")
    redis.command("DEL", *(f"item:{number}" for number in range(1, 101)))  # those that are compared first
    rig.sidecar.start(failpoint="index_compared:2")
    run = rig.value("SELECT anabranch.verify('item_cached', 'full', duty => 1, repair => true)")
    assert rig.sidecar.wait(60) == -9
    rig.sidecar.start()
    end = ended(rig, run)
    assert (end["differing"], end["repaired"], end["left_over"]) == (150, 150, 0) and end["verdict"].count("all of them repaired") == 2, end
    noted = dict(rig.sql("SELECT held_by || ' ' || outcome, count(*) FROM anabranch.differences WHERE run = %s GROUP BY 1", (run,)))
    assert noted == {"copy repaired": 50, "index repaired": 100}, noted


def test_json_that_jsonb_cannot_hold(rig, make_redis):
    """It is delivered as it is, compared, and shown as far as it can be."""
    redis = make_redis()
    use_engines(rig, cache=redis_section(redis))
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, facts json); INSERT INTO item VALUES (1, '{\"a\": 1}')")
    for name, shape in (("whole", "json"), ("fields", "hash")):
        create_index(rig, name, "cache", "SELECT id, facts FROM item", ["id"], shape=shape, key=f"{name}:{{id}}")
    rig.sidecar.start()
    wait_complete(rig, "whole", "fields")
    odd = [r'{"a":"\u0000"}', r'{"a":"\ud800"}', r'{"a":"\ud83d\ud83d"}', '{"a":1e999999}', '{"a":-1.5E-99999}', '{"a":1' + "0" * 200_000 + "}",
           '{"a":0.' + "1" * 6385 + "e-9999}", '{"a":' + "[" * 5000 + "]" * 5000 + "}"]
    for number, facts in enumerate(odd, 2):
        rig.sql("INSERT INTO item VALUES (%s, %s)", (number, facts))
    rig.sql(r"""INSERT INTO item VALUES (20, '{"a":"\ud83d\ude00 \\ud800","b":"1e99999","c":[1e5,-2]}'); UPDATE item SET facts = '{"a": 2}' WHERE id = 1""")
    rig.wait_fresh("whole", "fields")
    assert rig.sql("SELECT * FROM anabranch.dead_letters") == []
    held = redis.contents()
    for number, facts in enumerate(odd, 2):
        assert facts in held[f"whole:{number}"] and held[f"fields:{number}"]["facts"] == facts, (number, facts[:50])
    assert json.loads(held["fields:20"]["facts"]) == {"a": "\U0001f600 \\ud800", "b": "1e99999", "c": [100000, -2]}, held["fields:20"]
    # What is lost of it, and what somebody else has written.
    redis.command("DEL", *(f"whole:{number}" for number in range(2, len(odd) + 2)), "fields:2")
    with redis.client() as call:
        call("SET", "whole:20", b'{"a":"\\u0000"}')
        call("HSET", "fields:20", "facts", b"\0binary")
    for name, differing in (("whole", len(odd) + 1), ("fields", 2)):
        run = verify(rig, name, "index")
        assert (run["state"], run["differing"]) == ("done", differing), run
        run = verify(rig, name, "index", repair=True)
        assert (run["state"], run["repaired"], run["left_over"]) == ("done", differing, 0), run
    assert redis.contents() == held


def test_more_documents_than_are_noted_are_repaired(rig, make_redis):
    redis = make_redis()
    start_items(rig, redis, 12000)
    # Of those that are not noted some cannot be repaired yet.
    with redis.client() as call:
        call("DEL", *(f"item:{number}" for number in range(1, 12001)))
        for number in range(11501, 12001):  # those that are compared last
            call("SET", f"item:{number}", "somebody's")
    run = verify(rig, "item_cached", "index", repair=True)
    assert (run["differing"], run["repaired"], run["left_over"]) == (12000, 11500, 500), run
    redis.command("DEL", *(f"item:{number}" for number in range(11501, 12001)))
    run = ended(rig, rig.value("SELECT anabranch.repair(%s)", (run["run"],)))
    assert (run["differing"], run["repaired"], run["left_over"]) == (500, 500, 0), run

    def damage():
        redis.command("DEL", *(f"item:{number}" for number in range(1, 11001)))

    damage()
    run = verify(rig, "item_cached", "index", repair=True)
    assert (run["differing"], run["repaired"], run["left_over"]) == (11000, 11000, 0) and run["verdict"].endswith("all of them repaired"), run
    damage()
    run = verify(rig, "item_cached", "index")
    assert run["differing"] == 11000 and len(differences(rig, run["run"])) == 10000, run
    run = ended(rig, rig.value("SELECT anabranch.repair(%s)", (run["run"],)))
    assert (run["differing"], run["repaired"], run["left_over"]) == (11000, 11000, 0), run
    # The copy differs, too.
    damage()
    rig.sql("UPDATE anabranch_data.item_cached SET name = 'spoilt' WHERE id = 12000")
    run = verify(rig, "item_cached")
    assert run["differing"] == 11001, run
    run = ended(rig, rig.value("SELECT anabranch.repair(%s)", (run["run"],)))
    assert (run["mode"], run["left_over"]) == ("keys", 0), run
    rig.wait_fresh("item_cached")
    held = redis.contents()
    assert len(held) == 12000 and held["item:12000"] == {"id": "12000", "name": "item 12000"}, (len(held), held["item:12000"])


def test_documents_that_cannot_be(rig, make_redis):
    redis = make_redis()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text, shelf text, score float8)")
    use_engines(rig, cache=redis_section(redis))
    create_index(rig, "by_name", "cache", "SELECT name, shelf, id FROM item", ["name"], key="item:{name}")
    create_index(rig, "best", "cache", "SELECT name, id, score FROM item", ["id"], shape="sorted_set", key="best", member="id", score="score")
    rig.sidecar.start()
    wait_complete(rig, "by_name", "best")
    redis.command("SET", "best", "somebody's")
    rig.sql("INSERT INTO item VALUES (1, 'a', 'x', 1), (2, NULL, 'x', 2), (3, 'c', 'x', 'NaN'), (4, 'c', 'y', 3), (5, E'd\\n\\t \\\\ \\x22 \\u00e9', 'z', 'Infinity')")
    rig.wait_fresh("by_name")
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM anabranch.dead_letters") == 7, lambda: rig.sql("SELECT relation, reason FROM anabranch.dead_letters"))
    letters = rig.sql("SELECT relation, convert_from(key, 'UTF8'), reason FROM anabranch.dead_letters ORDER BY 1, 2")
    reasons = {(relation, key): reason for relation, key, reason in letters}
    assert "not unique" in reasons["by_name", '{"name": "c"}'] and "NULL" in reasons["by_name", '{"name": null}'], reasons
    assert "another type" in reasons["best", '{"id": 1}'], reasons
    run = verify(rig, "by_name", "index")
    assert run["state"] == "done", run
    redis.command("DEL", "best")
    rig.sql("UPDATE item SET name = 'b' WHERE id = 2; DELETE FROM item WHERE id = 4; UPDATE item SET score = score + 1")
    rig.wait_fresh("by_name", "best")
    assert verify(rig, "best", "index", repair=True)["left_over"] == 1  # what did not change was not sent again
    letters = rig.sql("SELECT relation, convert_from(key, 'UTF8'), reason FROM anabranch.dead_letters")
    assert [letter[:2] for letter in letters] == [("best", '{"id": 3}')], letters
    held = redis.contents()
    assert held["best"] == {"1": 2.0, "2": 3.0, "5": float("inf")} and json.loads(held["item:c"])["shelf"] == "x" and 'item:d\n\t \\ " \u00e9' in held, held
    # Of those without a key more bytes than a turn reads at once.
    rig.sql("INSERT INTO item SELECT i, NULL, repeat('x', 1000000), i FROM generate_series(100, 139) AS i")
    rig.wait_fresh("by_name")
    assert rig.sql("SELECT relation, convert_from(key, 'UTF8') FROM anabranch.dead_letters WHERE relation = 'by_name'") == [("by_name", '{"name": null}')]
    rig.sql("DELETE FROM item WHERE id >= 100")
    rig.wait_fresh("by_name")
    left = rig.sql("SELECT convert_from(key, 'UTF8'), reason, bytes, lsn FROM anabranch.dead_letters WHERE relation = 'by_name'")
    assert left == [], (left, rig.sql('SELECT * FROM anabranch.indexes'), rig.sql('SELECT id, name FROM item'))


def test_wrong_engines_are_told(rig, make_redis):
    redis = make_redis(requirepass="secret")
    password = rig.directory / f"{rig.log_path.name}.password"
    password.write_text("wrong")
    password.chmod(0o600)
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text)")
    path = use_engines(rig, cache=redis_section(redis, user="default", password_file=str(password)), gone={"kind": "redis", "url": "redis://127.0.0.1:9/0"})
    for name, engine in {"refused": "cache", "away": "gone", "unnamed": "nowhere"}.items():
        create_index(rig, name, engine, "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    for name in ("refused", "away", "unnamed"):
        rig.wait_until(lambda: all(problem(rig, name)), lambda: f"{name}: a problem with its remedy: {problem(rig, name)}\n{rig.sidecar.log_tail()}")
    assert "section [index.nowhere]" in problem(rig, "unnamed")[0] and "secret" not in rig.sidecar.log()
    told = rig.command("check", "--config", str(path), check=False).stdout
    assert "index.cache" in told and "index.gone" in told and "redis 7" not in told, told
    assert "public.refused" in rig.command("status", "--config", str(path), check=False).stdout
    password.write_text("secret")
    assert f"redis 7 at {redis.address}" in rig.command("check", "--config", str(path), check=False).stdout
    wait_complete(rig, "refused")
    assert rig.sql_error("SELECT anabranch.create_index('x', 'http://a', 'SELECT id FROM item', '{id}')").pgcode == "22023"
    for options in ('{"shape": "tree"}', '{"shape": "set"}', '{"key": "a:{name}"}', '{"key": "a:{"}', '{"ttl": 0}', '{"colour": 1}', '{"key": "constant"}', '[]'):
        error = rig.sql_error(f"SELECT anabranch.create_index('x', 'cache', 'SELECT id FROM item', '{{id}}', '{options}')")
        assert error.pgcode in ("22023", "23514"), (options, error)


def test_two_sidecars_and_a_late_one(rig, make_redis, rng):
    """The one that was replaced writes nothing any more, however late it wakes up."""
    redis = make_redis()
    start(rig, redis)
    with rig.load(social.LOAD):
        time.sleep(0.5)
        rig.sidecar.halt()
        rig.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
        rig.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'anabranch%'")
        other = rig.another_sidecar()
        other.arguments = rig.sidecar.arguments
        other.start()
        rig.wait_until(lambda: "delivering to an index" in other.log(), "the other to deliver")
        time.sleep(1)
        rig.sidecar.go_on()
        assert rig.sidecar.wait() == 3
    caches.expect_equal(rig, redis)
    other.stop()


def test_values_larger_than_redis_takes(rig, make_redis):
    """Redis ends the session over them. They are dead letters, and no others wait; what it says where it has come to allow less is a problem that passes."""
    redis = make_redis(proto_max_bulk_len=2 << 20)
    rig.sql("CREATE TABLE page (id int PRIMARY KEY, body text, more text); INSERT INTO page SELECT i, repeat('x', 100) FROM generate_series(1, 100) AS i")
    use_engines(rig, cache=redis_section(redis))
    shapes = {"strings": {"shape": "json"}, "hashes": {"shape": "hash"}, "passing": {"shape": "hash", "ttl": 1000}}
    for name, options in shapes.items():
        create_index(rig, name, "cache", "SELECT id, body, more FROM page", ["id"], **options)
    rig.sidecar.start()
    wait_complete(rig, *shapes)
    rig.sql("UPDATE page SET (body, more) = (SELECT r, CASE id WHEN 7 THEN r ELSE 'more' END FROM repeat('y', CASE id WHEN 7 THEN 1500000 WHEN 8 THEN 3000000 ELSE 10 END) AS r) "
            "WHERE id > 6")
    rig.wait_fresh(*shapes)
    held = redis.contents()
    assert held["strings:9"] == json.dumps({"id": 9, "body": "y" * 10, "more": "more"}) and held["hashes:9"]["body"] == "y" * 10, held["strings:9"]
    assert "xxx" in held["strings:7"] and "xxx" in held["hashes:8"]["body"], "what was there stays"
    letters = rig.sql("SELECT relation, convert_from(key, 'UTF8'), reason ~ '2097152 bytes: Redis.s proto-max-bulk-len' FROM anabranch.dead_letters ORDER BY 1, 2")
    assert letters == [(name, f'{{"id": {i}}}', True) for name in ("hashes", "passing", "strings") for i in (7, 8)], letters
    redis.command("CONFIG", "SET", "proto-max-bulk-len", 1 << 20)
    rig.sql("UPDATE page SET more = NULL, body = repeat('z', CASE id WHEN 10 THEN 1500000 ELSE 10 END) WHERE id > 6")
    rig.wait_fresh(*shapes)
    letters = rig.sql("SELECT relation, convert_from(key, 'UTF8') FROM anabranch.dead_letters ORDER BY 1, 2")
    assert letters == [(name, '{"id": 10}') for name in ("hashes", "passing", "strings")], letters
    assert "raise Redis's proto-max-bulk-len" in rig.sidecar.log(), rig.sidecar.log_tail()


def test_a_hot_key_and_large_documents(rig, make_redis):
    redis = make_redis()
    rig.sql("CREATE TABLE counter (id int PRIMARY KEY, n bigint); CREATE TABLE page (id text PRIMARY KEY, body text)")
    rig.sql("INSERT INTO counter VALUES (1, 0)")
    # Filled with more than is read at a time, and then looked through.
    rig.sql("INSERT INTO page SELECT 'f' || i, repeat('x', 300000) FROM generate_series(1, 100) AS i")
    use_engines(rig, cache=redis_section(redis))
    create_index(rig, "counters", "cache", "SELECT id, n FROM counter", ["id"], shape="hash")
    create_index(rig, "pages", "cache", "SELECT id, body FROM page", ["id"])
    rig.sidecar.start()
    wait_complete(rig, "counters", "pages")
    rig.sql("DO $$ BEGIN FOR i IN 1..100000 LOOP UPDATE counter SET n = n + 1 WHERE id = 1; IF i % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$")
    rig.sql("INSERT INTO page SELECT 'p' || i, repeat(chr(33 + i), 10000000) FROM generate_series(1, 20) AS i")
    rig.wait_fresh("counters", "pages")
    held = redis.contents()
    assert held["counters:1"] == {"id": "1", "n": "100000"} and all(len(json.loads(held[f"pages:p{i}"])["body"]) == 10_000_000 for i in range(1, 21))
    rig.sql("UPDATE page SET body = body || 'y' WHERE id LIKE 'f%'")
    run = verify(rig, "pages", "index")
    assert run["state"] == "done" and run["differing"] == 0 and run["documents_compared"] == 120, run
    sent = rig.value("SELECT documents FROM anabranch.indexes WHERE index = 'counters'::regclass")
    assert sent < 1000, f"{sent} documents were sent for one that changed 100,000 times"
