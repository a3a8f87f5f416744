"""Indexes in a search engine over the social network, and what they have to hold: by PostgreSQL, from the tables; by what a search finds, not
by what can be fetched."""

import base64
import json
import struct

from rig import social
from rig.indexes import create_index, search_section, use_engines

TWEETS = "SELECT tweet_id, user_id, body, upper(left(body, 5)) AS title, string_to_array(body, ' ') AS words, facts FROM tweets"
INDEXES = {  # name: (query, key, options)
    "tweets_found": (TWEETS, ["tweet_id"], {"mapping": {"body": {"type": "text", "analyzer": "english"}}}),
    "activity": (social.USER_ACTIVITY, ["user_id"], {}),
    "pairs": ("SELECT follower_id, followee_id FROM follows", ["follower_id", "followee_id"], {"settings": {"number_of_shards": 2}}),
}


def create_all(rig, engine, **more):
    rig.sql(social.SCHEMA)
    rig.sql("ALTER TABLE tweets ADD facts jsonb; UPDATE tweets SET facts = jsonb_build_object('length', length(body), 'parts', string_to_array(body, ' '))")
    path = use_engines(rig, search=search_section(engine, **more))
    for name, (query, key, options) in INDEXES.items():
        create_index(rig, name, "search", query, key, **options)
    return path


def found(engine, alias):
    """{_id: its fields} of all documents that a search through the alias finds, without what anabranch keeps for itself."""
    documents = {}
    status, answer = engine.request("POST", f"/{alias}/_search?scroll=1m", {"size": 5000})
    while True:
        assert status == 200, answer
        hits, scroll = answer["hits"]["hits"], answer["_scroll_id"]
        if not hits:
            engine.request("DELETE", "/_search/scroll", {"scroll_id": scroll})
            return documents
        for hit in hits:
            documents[hit["_id"]] = {name: value for name, value in hit["_source"].items() if name != "anabranch"}
        status, answer = engine.request("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": scroll})


def mark(version, digest, key):
    """What anabranch writes beside a document, sidecar/index/search_mark.hpp."""
    return base64.b64encode(struct.pack(">QB", version, len(digest)) + digest.encode() + key.encode()).decode()


def expect_equal(rig, engine, *names):
    names = names or INDEXES
    rig.wait_fresh(*names)
    for name in names:
        query, key, _ = INDEXES[name]
        want = {}
        for row, in rig.sql(f"SELECT to_jsonb(q)::text FROM ({query}) AS q"):
            row = json.loads(row)
            want["/".join(str(row[column]) for column in key)] = row
        have = found(engine, name)
        different = [(i, want.get(i), have.get(i)) for i in want.keys() | have.keys() if want.get(i) != have.get(i)]
        assert not different, f"{name}: {len(different)} of {len(want)} documents differ (id, expected, found): {different[:5]}"
