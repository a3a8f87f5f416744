"""Indexes in a search engine: what they hold is compared with their query, recomputed by PostgreSQL: every document, field by field, and
no document more."""

from rig import needs, searches, social
from rig.indexes import verify, wait_complete


@needs(seconds=60)
def test_documents_follow_their_query(rig, make_opensearch, rng):
    engine = make_opensearch()
    searches.create_all(rig, engine)
    rig.sidecar.start()
    wait_complete(rig, *searches.INDEXES)
    searches.expect_equal(rig, engine)
    for _ in range(4):
        social.change(rig, rng, 40)
        searches.expect_equal(rig, engine)
    status, answer = engine.request("POST", "/tweets_found/_search", {"query": {"match": {"body": "tweeting"}}})  # English: by its stem
    assert status == 200 and answer["hits"]["total"]["value"] > 0, answer
    for name in searches.INDEXES:
        run = verify(rig, name)
        assert run["state"] == "done" and run["differing"] == 0 and run["documents_compared"] > 0, run
    rig.sql("SELECT anabranch.rebuild('activity')")
    rig.wait_until(lambda: rig.value("SELECT generation FROM anabranch.indexes WHERE index = 'activity'::regclass") == 2, "a new generation")
    wait_complete(rig, "activity")
    searches.expect_equal(rig, engine)
    rig.sql("SELECT anabranch.drop_index('pairs')")
    rig.wait_until(lambda: engine.request("GET", "/pairs")[0] == 404, "the dropped index to be gone")
