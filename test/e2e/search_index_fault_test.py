"""What goes wrong round an index in a search engine: kills of everybody, an index that is deleted, written or taken by others, documents that
it refuses, a disk that is full, a write that comes late. After each the index holds what its query says, or the reason why not is told with
the remedy."""

import os
import time

from kill_test import failpoints

from rig import needs, searches
from rig.indexes import (create_index, differences, ended, kill_at_each_step, kill_everybody, problem, search_section, use_engines, verify,
                         wait_complete)

KILLS = int(os.environ.get("ANABRANCH_KILLS", "200"))


def start(rig, engine, **more):
    path = searches.create_all(rig, engine, **more)
    rig.sidecar.start()
    wait_complete(rig, *searches.INDEXES)
    return path


def physical(rig, name):
    return f"{name}-{rig.value('SELECT generation FROM anabranch.indexes WHERE index = %s::regclass', (name,)):06}"


@needs(seconds=120)
def test_sidecar_killed_at_each_step(rig, make_opensearch, rng):
    engine = make_opensearch()
    searches.create_all(rig, engine)

    def damage():
        filled = rig.value("SELECT filled > 0 FROM anabranch.index_progress WHERE copy = 'activity'::regclass")
        for user in (7, 8, 9) if filled else ():
            engine.request("POST", f"/{physical(rig, 'activity')}/_update/{user}", {"doc": {"likes": -1}})
        return filled

    kill_at_each_step(rig, rng, failpoints("index"), counts=(2,), seconds=180, verified="activity", damage=damage)
    searches.expect_equal(rig, engine)


@needs(seconds=120)
def test_everybody_killed_at_random(rig, make_opensearch, rng):
    engine = make_opensearch()
    start(rig, engine)
    kill_everybody(rig, rng, engine, max(KILLS // 100, 2), 1, searches.expect_equal)


def test_an_index_that_others_touch(rig, make_opensearch):
    """Deleted, written, and an alias that is taken: each is noticed or told."""
    engine = make_opensearch()
    start(rig, engine)
    rig.wait_fresh(*searches.INDEXES)
    index = physical(rig, "activity")

    # Somebody else's changes: one of a document of ours, one more document, one that is gone.
    assert engine.request("POST", f"/{index}/_update/7", {"doc": {"likes": -1}})[0] == 200
    assert engine.request("PUT", f"/{index}/_doc/not-ours", {"user_id": 1})[0] == 201
    assert engine.request("DELETE", f"/{index}/_doc/8")[0] == 200
    run = verify(rig, "activity", "index")
    found = differences(rig, run["run"])
    assert run["state"] == "done" and [kind for kind, _, _ in found] == ["foreign", "foreign", "missing"], (run, found)
    mended = ended(rig, rig.value("SELECT anabranch.repair(%s)", (run["run"],)))
    assert mended["state"] == "done", mended
    again = verify(rig, "activity", repair=True)
    assert again["left_over"] == 0, (again, differences(rig, again["run"]))
    searches.expect_equal(rig, engine)

    # What somebody else has written as if it were ours, with keys that no document can have.
    for number, key in enumerate(('{"user_id": "no number"}', "no key")):
        assert engine.request("PUT", f"/{index}/_doc/alien{number}", {"anabranch": {"mark": searches.mark(1, "x", key)}})[0] == 201
    run = verify(rig, "activity", "index", repair=True)
    assert run["differing"] == run["repaired"] == 2 and run["left_over"] == 0, (run, differences(rig, run["run"]))
    # Readers' name, taken away or put back without its filter.
    for action in ({"remove": {"index": index, "alias": "activity"}}, {"add": {"index": index, "alias": "activity"}}):
        assert engine.request("POST", "/_aliases", {"actions": [action]})[0] == 200
        rig.wait_until(lambda: "filter" in str(engine.request("GET", f"/{index}/_alias")), "readers to find the index again")
    searches.expect_equal(rig, engine)
    assert rig.sidecar.log().count("its name is given to it again") == 2

    assert engine.request("DELETE", f"/{index}")[0] == 200
    rig.sql("INSERT INTO likes (user_id, tweet_id) VALUES (7, 7)")
    rig.wait_until(lambda: "made anew" in rig.sidecar.log(), lambda: f"the loss to be noticed: {problem(rig, 'activity')}")
    wait_complete(rig, "activity")
    searches.expect_equal(rig, engine)

    assert engine.request("PUT", "/taken", {})[0] == 200
    create_index(rig, "taken", "search", "SELECT user_id, name FROM users", ["user_id"])
    rig.wait_until(lambda: all(problem(rig, "taken")), lambda: f"a problem with its remedy: {problem(rig, 'taken')}")
    assert engine.request("GET", "/taken/_count")[1]["count"] == 0
    assert engine.request("DELETE", "/taken")[0] == 200
    wait_complete(rig, "taken")
    assert engine.request("GET", "/taken/_count")[1]["count"] == 1000


def test_documents_that_it_refuses(rig, make_opensearch):
    engine = make_opensearch()
    rig.sql("CREATE TABLE item (id text PRIMARY KEY, number float8, facts jsonb)")
    use_engines(rig, search=search_section(engine))
    create_index(rig, "items", "search", "SELECT id, number, facts FROM item", ["id"],
                 mapping={"number": {"ignore_malformed": False}, "facts": {"properties": {"n": {"type": "long"}}}})
    rig.sidecar.start()
    wait_complete(rig, "items")
    rig.sql("INSERT INTO item VALUES ('a', 1, '{\"n\": 1}'), ('b', 'NaN', NULL), ('c', 2, '{\"n\": \"text\"}'), (repeat('d', 600), 3, NULL), ('', 4, NULL), "
            "(E'e/\\n \\\\\u00e9', 4, NULL)")
    rig.wait_fresh("items")
    letters = {key: reason for key, reason in rig.sql("SELECT convert_from(key, 'UTF8')::jsonb ->> 'id', reason FROM anabranch.dead_letters")}
    assert set(letters) == {"", "b", "c", "d" * 600} and "number" in letters["b"] and "facts.n" in letters["c"] and "512" in letters["d" * 600], letters
    assert set(searches.found(engine, "items")) == {"a", "e/\n \\\u00e9"}
    run = verify(rig, "items")
    assert [kind for kind, _, _ in differences(rig, run["run"])] == ["refused"] * 4, (run, differences(rig, run["run"]))
    rig.sql("UPDATE item SET number = 5, facts = '{\"n\": 2}' WHERE id IN ('b', 'c'); DELETE FROM item WHERE length(id) > 500 OR id = ''")
    rig.wait_fresh("items")
    letters = rig.sql("SELECT convert_from(key, 'UTF8'), reason FROM anabranch.dead_letters")
    assert letters == [], letters
    assert set(searches.found(engine, "items")) == {"a", "b", "c", "e/\n \\\u00e9"}
    assert verify(rig, "items")["differing"] == 0


def test_a_full_disk_is_waited_for(rig, make_opensearch):
    engine = make_opensearch()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text)")
    use_engines(rig, search=search_section(engine))
    create_index(rig, "items", "search", "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    wait_complete(rig, "items")
    block = "index.blocks.read_only_allow_delete"  # as the disk watermark sets it
    assert engine.request("PUT", "/items-000001/_settings", {block: True})[0] == 200
    rig.sql("INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) AS i")
    rig.wait_until(lambda: all(problem(rig, "items")), lambda: f"the problem to be told: {problem(rig, 'items')}")
    assert rig.value("SELECT level FROM anabranch.status WHERE kind = 'index'") == "critical"
    assert rig.sql("SELECT * FROM anabranch.dead_letters") == []
    assert engine.request("PUT", "/items-000001/_settings", {block: None})[0] == 200
    rig.wait_fresh("items")
    assert len(searches.found(engine, "items")) == 100 and problem(rig, "items")[0] is None


def test_a_late_write_changes_nothing(rig, make_opensearch):
    """What a halted sidecar still sends when it wakes up is older than what is there: also than a document that is not there any more."""
    engine = make_opensearch()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'old'), (2, 'old'), (3, 'kept')")
    use_engines(rig, search=search_section(engine))
    create_index(rig, "items", "search", "SELECT id, name FROM item", ["id"], settings={"index.gc_deletes": "1ms"})
    rig.sidecar.start()
    wait_complete(rig, "items")
    hits = engine.request("POST", "/items-000001/_search", {"version": True})[1]["hits"]["hits"]
    old = {hit["_id"]: (hit["_version"], hit["_source"]) for hit in hits}
    rig.sql("DELETE FROM item WHERE id = 1; UPDATE item SET name = 'new' WHERE id = 2")
    rig.wait_fresh("items")
    time.sleep(1)
    for number in ("1", "2"):
        version, source = old[number]
        assert engine.request("PUT", f"/items-000001/_doc/{number}?version={version}&version_type=external", source)[0] == 409
    engine.request("POST", "/items-000001/_refresh")
    assert searches.found(engine, "items") == {"2": {"id": 2, "name": "new"}, "3": {"id": 3, "name": "kept"}}
    # Everything once more, from the start.
    rig.sql("UPDATE anabranch.index_progress SET filled = 0, swept_to = NULL")
    wait_complete(rig, "items")
    rig.wait_fresh("items")
    assert searches.found(engine, "items") == {"2": {"id": 2, "name": "new"}, "3": {"id": 3, "name": "kept"}}


def test_rebuilt_without_a_moment_of_absence(rig, make_opensearch):
    engine = make_opensearch()
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'item' FROM generate_series(1, 20000) AS i")
    use_engines(rig, search=search_section(engine))
    create_index(rig, "items", "search", "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    wait_complete(rig, "items")
    rig.sql("SELECT anabranch.alter_index('items', options => '{\"settings\": {\"number_of_shards\": 2}}')")
    seen = set()

    def rebuilt():
        status, answer = engine.request("GET", "/items/_count")
        seen.add((status, answer.get("count")))
        return rig.sql("SELECT state, generation FROM anabranch.indexes") == [("live", 2)] and engine.request("GET", "/items-000001")[0] == 404
    rig.wait_until(rebuilt, "the new generation")
    assert seen == {(200, 20000)}, seen
    settings = engine.request("GET", "/items/_settings")[1]
    assert [s["settings"]["index"]["number_of_shards"] for s in settings.values()] == ["2"], settings
    # Another query, and with it other fields.
    run = rig.value("SELECT anabranch.alter_index('items', query => 'SELECT id, upper(name) AS title FROM item')")
    ended(rig, run)
    rig.wait_until(lambda: rig.sql("SELECT state, generation FROM anabranch.indexes") == [("live", 3)], lambda: rig.sql("TABLE anabranch.indexes"))
    rig.wait_fresh("items")
    assert searches.found(engine, "items")["7"] == {"id": 7, "title": "ITEM"}
