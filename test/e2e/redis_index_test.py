"""Indexes in Redis: what they hold is compared with their query, recomputed by PostgreSQL: every key, every field, and no key more."""

import re

from rig import caches, needs, social
from rig.cluster import ROOT
from rig.indexes import create_index, redis_section, use_engines, verify, wait_complete


@needs(seconds=20)
def test_every_shape_follows_its_query(rig, make_redis, rng):
    redis = make_redis()
    caches.create_all(rig, redis)
    rig.sidecar.start()
    wait_complete(rig, *caches.INDEXES)
    caches.expect_equal(rig, redis)
    for _ in range(5):
        social.change(rig, rng, 40)
        caches.expect_equal(rig, redis)
    rig.sql("TRUNCATE follows")  # one of several sources: that copy has to be filled anew, and the index with it
    rig.wait_for_state("user_info", "stale")
    rig.sql("SELECT anabranch.resume('user_info')")
    rig.wait_live("user_info")
    caches.expect_equal(rig, redis)
    for name in caches.INDEXES:
        run = verify(rig, name)
        assert run["state"] == "done" and run["differing"] == 0 and run["documents_compared"] > 0 or name == "following", run
    rig.sql("SELECT anabranch.drop_index('tweet'), anabranch.drop_index('following')")
    rig.wait_until(lambda: not [key for key in redis.contents() if key.startswith("tweet:")], "the dropped index to be gone")
    assert redis.command("KEYS", "anabranch:tweet*") == "" and any(key.startswith("heaviest:") for key in redis.contents())


def test_the_account_of_the_manual_suffices(rig, make_redis):
    """docs/indexes.md says which rights the sidecar needs: with those and no others it does all it does."""
    redis = make_redis()
    manual = (ROOT / "docs/indexes.md").read_text()
    words = re.search(r"^ACL SETUSER anabranch [^`]*", manual, re.MULTILINE).group().split()
    assert redis.command(*[">secret" if word == ">PASSWORD" else word for word in words]) == "OK"
    password = rig.directory / f"{rig.log_path.name}.password"
    password.write_text("secret")
    password.chmod(0o600)
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text, shelf text); INSERT INTO item SELECT i, 'name ' || i, 'shelf ' || i % 3 FROM generate_series(1, 2000) AS i")
    use_engines(rig, cache=redis_section(redis, user="anabranch", password_file=str(password)))
    shapes = {"hashes": {"shape": "hash", "key": "user:h:{id}"}, "strings": {"key": "user:s:{id}"}, "passing": {"shape": "hash", "key": "user:p:{id}", "ttl": 1000},
              "sorted": {"shape": "sorted_set", "key": "user:z", "member": "id", "score": "id"}, "members": {"shape": "set", "key": "user:m", "member": "id"}}
    for name, options in shapes.items():
        create_index(rig, name, "cache", "SELECT id, name, shelf FROM item", ["id"], **options)
    rig.sidecar.start()
    wait_complete(rig, *shapes)
    rig.sql("UPDATE item SET name = NULL WHERE id % 2 = 0; DELETE FROM item WHERE id % 5 = 0")
    rig.wait_fresh(*shapes)
    for damage in (["DEL", "user:h:1"], ["SET", "user:s:1", "other"], ["HSET", "user:p:1", "name", "other"], ["ZREM", "user:z", "1"], ["SREM", "user:m", "1"]):
        redis.command(*damage)
    for name in shapes:
        run = verify(rig, name, "index", repair=True)
        assert run["state"] == "done" and run["repaired"] == 1 and not run["left_over"], (name, run)
    rig.sql("SELECT anabranch.alter_index(index, options => options - 'ttl') FROM anabranch.indexes")
    rig.wait_until(lambda: rig.value("SELECT bool_and(generation = 2 AND state = 'live') FROM anabranch.indexes"), "all to be made anew")
    rig.sql("SELECT anabranch.drop_index(index) FROM anabranch.indexes")
    rig.wait_until(lambda: redis.command("DBSIZE") == "0", lambda: f"all to be gone: {redis.command('DBSIZE')}\n{rig.sidecar.log_tail()}")
    with redis.client() as call:
        denied = [dict(zip(entry[::2], entry[1::2])) for entry in call("ACL", "LOG")]
    assert {entry[b"object"] for entry in denied} == {b"config|get"}, denied
