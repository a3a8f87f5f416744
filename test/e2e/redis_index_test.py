"""Indexes in Redis: what they hold is compared with their query, recomputed by PostgreSQL: every key, every field, and no key more."""

from rig import caches, needs, social
from rig.indexes import verify, wait_complete


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
