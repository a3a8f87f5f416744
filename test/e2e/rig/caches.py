"""Indexes in Redis of every shape, over the social network, and what they have to hold: by PostgreSQL, from the tables.

A hash for each user, a JSON string and a member of a sorted set for each tweet, and a set of those whom a user follows."""

import json

from rig import social
from rig.indexes import create_index, redis_section, use_engines

TWEETS = "SELECT tweet_id, user_id, body, length(body)::numeric / 8 AS weight FROM tweets"
INDEXES = {  # name: (query, key, options)
    "user_info": (social.USER_ACTIVITY, ["user_id"], {"shape": "hash", "key": "user:{user_id}"}),
    "tweet": (TWEETS, ["tweet_id"], {}),
    "heaviest": (TWEETS, ["user_id", "tweet_id"], {"shape": "sorted_set", "key": "heaviest:{user_id}", "member": "tweet_id", "score": "weight"}),
    "following": ("SELECT follower_id, followee_id FROM follows", ["follower_id", "followee_id"],
                  {"shape": "set", "key": "following:{follower_id}", "member": "followee_id"}),
}


def create_all(rig, redis, **more):
    rig.sql(social.SCHEMA)
    path = use_engines(rig, cache=redis_section(redis, **more))
    for name, (query, key, options) in INDEXES.items():
        create_index(rig, name, "cache", query, key, **options)
    return path


def rows(rig, query):
    return [json.loads(row, parse_float=str, parse_int=str) for row, in rig.sql(f"SELECT to_jsonb(q)::text FROM ({query}) AS q")]


def expected(rig):
    """{key: value} as Redis.contents() has it, from the tables themselves."""
    want = {}
    for row in rows(rig, social.USER_ACTIVITY):
        want[f"user:{row['user_id']}"] = {name: value for name, value in row.items() if value is not None}
    for text, tweet_id in rig.sql(f"SELECT to_jsonb(q)::text, tweet_id FROM ({TWEETS}) AS q"):
        want[f"tweet:{tweet_id}"] = text
    for row in rows(rig, TWEETS):
        if row["weight"] is not None:
            want.setdefault(f"heaviest:{row['user_id']}", {})[row["tweet_id"]] = float(row["weight"])
    for row in rows(rig, "SELECT * FROM follows"):
        want.setdefault(f"following:{row['follower_id']}", set()).add(row["followee_id"])
    return want


def expect_equal(rig, redis):
    rig.wait_fresh(*INDEXES)
    want, have = expected(rig), redis.contents()
    different = [(key, want.get(key), have.get(key)) for key in want.keys() | have.keys() if want.get(key) != have.get(key)]
    assert not different, f"{len(different)} of {len(want)} keys differ (key, expected, found): {different[:5]}"
