"""Engines over TLS: Redis, which speaks it, and a search engine behind a proxy, which speaks it for most of them. Whoever is not trusted, on either side,
is told as a problem with its remedy, and nothing is sent."""

import contextlib

from rig import caches, needs
from rig.certificates import make_authority, make_certificate
from rig.indexes import create_index, kill_everybody, problem, use_engines, verify, wait_complete
from rig.ports import free_port
from rig.tls_proxy import TlsProxy

NOT_TRUSTED = "is not trusted, or does not trust us"


class Certificates:
    def __init__(self, directory):
        self.authority, self.other_authority = (make_authority(directory, name) for name in ("authority", "other-authority"))
        self.server, self.server_key = make_certificate(self.authority, "server")
        self.client, self.client_key = make_certificate(self.authority, "client")
        self.stranger, self.stranger_key = make_certificate(self.other_authority, "stranger")
        self.locked, self.locked_key = make_certificate(self.authority, "locked", password="secret")

    def trusted(self):
        """Settings of a section that are right."""
        return {"ca_file": str(self.authority), "certificate_file": str(self.client), "key_file": str(self.client_key)}

    def wrong(self):
        """{name of a section: settings that are not}"""
        trusted = self.trusted()
        return {
            "other_authority": {**trusted, "ca_file": str(self.other_authority)},
            "the_systems": {name: value for name, value in trusted.items() if name != "ca_file"},
            "no_such_file": {**trusted, "ca_file": "/nowhere/ca.pem"},
            "anonymous": {"ca_file": str(self.authority)},
            "stranger": {**trusted, "certificate_file": str(self.stranger), "key_file": str(self.stranger_key)},
            "locked": {**trusted, "certificate_file": str(self.locked), "key_file": str(self.locked_key)},
            "key_of_another": {**trusted, "key_file": str(self.stranger_key)}}


def make_tls_redis(make_redis, certificates, **settings):
    """A server with a plain port beside it, for the test; its tls_port is the settings' one."""
    port = free_port()
    return make_redis(tls_port=port, tls_cert_file=certificates.server, tls_key_file=certificates.server_key, tls_ca_cert_file=certificates.authority, **settings), port


def expect_problems(rig, engines, url):
    """Of an index in each of these, which is made here; none of the sections but those that are named otherwise has a server that speaks no TLS."""
    for name in engines:
        create_index(rig, f"in_{name}", name, "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    for name in engines:
        rig.wait_until(lambda: NOT_TRUSTED in (problem(rig, f"in_{name}")[0] or ""),
                       lambda: f"{name}: to be told: {problem(rig, f'in_{name}')}\n{rig.sidecar.log_tail()}")
        said, remedy = problem(rig, f"in_{name}")
        assert url in said and "ca_file" in remedy and "certificate_file" in remedy, (name, said, remedy)


@needs(seconds=40)
def test_redis_over_tls(rig, make_redis, directory, rng):
    """As over a plain connection, with kills, and with documents of many records of TLS."""
    certificates = Certificates(directory)
    redis, port = make_tls_redis(make_redis, certificates)
    caches.create_all(rig, redis, url=f"rediss://127.0.0.1:{port}/0", **certificates.trusted())
    rig.sidecar.start()
    wait_complete(rig, *caches.INDEXES)
    caches.expect_equal(rig, redis)
    kill_everybody(rig, rng, redis, rounds=1, engine_kills=2, expect_equal=caches.expect_equal)
    rig.sql("CREATE TABLE page (id int PRIMARY KEY, body text); INSERT INTO page SELECT i, repeat(chr(96 + i), 10000000) FROM generate_series(1, 5) AS i")
    create_index(rig, "page_cache", "cache", "SELECT id, body FROM page", ["id"])
    create_index(rig, "page_hash", "cache", "SELECT id, body FROM page", ["id"], shape="hash")
    wait_complete(rig, "page_cache", "page_hash")
    redis.command("SET", "page_cache:3", "somebody's")
    for name in (*caches.INDEXES, "page_cache", "page_hash"):
        run = verify(rig, name, "index", repair=True)
        assert run["state"] == "done" and run["differing"] == (name == "page_cache") and not run["left_over"], run
    assert len(redis.command("GET", "page_cache:3")) > 10_000_000


def test_redis_that_is_not_trusted(rig, make_redis, directory):
    certificates = Certificates(directory)
    redis, port = make_tls_redis(make_redis, certificates)
    url = f"rediss://127.0.0.1:{port}/0"
    sections = {name: {"kind": "redis", "url": url, **settings} for name, settings in certificates.wrong().items()}
    trusted = {"kind": "redis", **certificates.trusted()}
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'one')")
    path = use_engines(rig, another_host={**trusted, "url": f"rediss://localhost:{port}/0"}, plain_port={**trusted, "url": f"rediss://{redis.address}/0"},
                       tls_port={"kind": "redis", "url": f"redis://127.0.0.1:{port}/0"}, right={**trusted, "url": url}, **sections)
    for name in ("another_host", "plain_port", "tls_port", "right"):
        create_index(rig, f"in_{name}", name, "SELECT id, name FROM item", ["id"], key=name + ":{id}")
    expect_problems(rig, sections, f"127.0.0.1:{port}")
    rig.wait_until(lambda: NOT_TRUSTED in (problem(rig, "in_another_host")[0] or ""), lambda: f"another host: {problem(rig, 'in_another_host')}")
    for name in ("plain_port", "tls_port"):
        rig.wait_until(lambda: "cannot be reached" in (problem(rig, f"in_{name}")[0] or ""), lambda: f"{name}: {problem(rig, f'in_{name}')}")
    wait_complete(rig, "in_right")
    assert redis.contents() == {"right:1": '{"id": 1, "name": "one"}'} and "secret" not in rig.sidecar.log()
    told = rig.command("check", "--config", str(path), check=False).stdout
    assert NOT_TRUSTED in told and f"redis 7 at 127.0.0.1:{port}" in told, told


@needs(seconds=40)
def test_search_engine_over_tls(rig, make_opensearch, directory):
    certificates = Certificates(directory)
    engine = make_opensearch()
    target = engine.address.removeprefix("http://")
    with contextlib.closing(TlsProxy(target, certificates.server, certificates.server_key, certificates.authority)) as proxy:
        url = f"https://127.0.0.1:{proxy.port}"
        sections = {name: {"kind": "opensearch", "url": url, **settings} for name, settings in {**certificates.wrong(), "right": certificates.trusted()}.items()}
        rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, 5000) AS i")
        use_engines(rig, **sections)
        create_index(rig, "in_right", "right", "SELECT id, name FROM item", ["id"])
        expect_problems(rig, [name for name in sections if name != "right"], url)
        wait_complete(rig, "in_right")
        rig.sql("UPDATE item SET name = 'another' WHERE id % 2 = 0; DELETE FROM item WHERE id % 5 = 0")
        run = verify(rig, "in_right")
        assert run["state"] == "done" and run["differing"] == 0 and run["documents_compared"] == 4000, run
        assert engine.request("GET", "/_cat/indices?h=index&format=json")[1] == [{"index": "in_right-000001"}] and "secret" not in rig.sidecar.log()
