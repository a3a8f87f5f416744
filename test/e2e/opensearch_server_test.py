"""The search engine that tests of indexes stand on: it refuses older versions, for each document of a bulk apart, forgets nothing it
has acknowledged, swaps aliases in one step, and says which index is a new one of the same name."""

from rig import needs


def versions(*documents):
    """A bulk of (id, version, contents)."""
    for key, version, contents in documents:
        yield {"index": {"_id": key, "version": version, "version_type": "external"}}
        yield contents


@needs(seconds=45)
def test_orders_writes_by_version_and_keeps_them(make_opensearch):
    engine = make_opensearch()
    ask = engine.request
    assert ask("PUT", "/one", {"mappings": {"dynamic": "strict", "properties": {"word": {"type": "text"}}}})[0] == 200
    status, answer = ask("POST", "/one/_bulk", list(versions(("a", 7, {"word": "first"}), ("b", 7, {"word": "second"}))))
    assert (status, answer["errors"]) == (200, False), answer
    # Older, equal, newer, and one that the mapping refuses.
    status, answer = ask("POST", "/one/_bulk", list(versions(("a", 6, {"word": "late"}), ("a", 7, {"word": "again"}), ("b", 8, {"word": "third"}),
                                                            ("c", 8, {"number": 1}))))
    assert (status, [item["index"]["status"] for item in answer["items"]]) == (200, [409, 409, 200, 400]), answer
    engine.kill()
    engine.start()
    assert ask("GET", "/one/_doc/a")[1]["_source"] == {"word": "first"} and ask("GET", "/one/_doc/b")[1]["_version"] == 8
    ask("POST", "/one/_refresh")
    assert ask("GET", "/one/_search?q=word:third")[1]["hits"]["total"]["value"] == 1

    ask("PUT", "/two")
    ask("POST", "/_aliases", {"actions": [{"add": {"index": "one", "alias": "words"}}]})
    assert ask("POST", "/_aliases", {"actions": [{"remove": {"index": "one", "alias": "words"}}, {"add": {"index": "two", "alias": "words"}}]})[0] == 200
    assert list(ask("GET", "/_alias/words")[1]) == ["two"]
    identity = ask("GET", "/two/_settings")[1]["two"]["settings"]["index"]["uuid"]
    ask("DELETE", "/two")
    ask("PUT", "/two")
    assert ask("GET", "/two/_settings")[1]["two"]["settings"]["index"]["uuid"] != identity
