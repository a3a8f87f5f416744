"""Engines over TLS: Redis, which speaks it, and a search engine behind a proxy, which speaks it for most of them. Whoever is not trusted, on either side,
is told as a problem with its remedy, and nothing is sent."""

import contextlib

from rig import caches, needs
from rig.certificates import as_the_systems, make_authority, make_certificate
from rig.indexes import create_index, kill_everybody, problem, use_engines, verify, wait_complete
from rig.ports import free_port
from rig.servers import Unavailable
from rig.tls_proxy import TlsProxy

NOT_TRUSTED = "is not trusted, or does not trust us"


class Certificates:
    def __init__(self, directory):
        self.authority, self.other_authority = (make_authority(directory, name) for name in ("authority", "other-authority"))
        self.server, self.server_key = make_certificate(self.authority, "server")
        self.client, self.client_key = make_certificate(self.authority, "client")
        self.stranger, self.stranger_key = make_certificate(self.other_authority, "stranger")
        self.locked, self.locked_key = make_certificate(self.authority, "locked", password="of the key")

    def secrets_in(self, text):
        """Lines of our keys."""
        return [line for key in (self.client_key, self.stranger_key, self.locked_key) for line in key.read_text().splitlines()[1:-1] if line in text]

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
    """Of an index in each of these, which is made here: that its server, at the url, is not trusted, with its remedy."""
    for name in engines:
        create_index(rig, f"in_{name}", name, "SELECT id, name FROM item", ["id"])
    rig.sidecar.start()
    for name in engines:
        told = []

        def is_told():
            told[:] = problem(rig, f"in_{name}")
            return NOT_TRUSTED in (told[0] or "")
        rig.wait_until(is_told, lambda: f"{name}: to be told: {told}\n{rig.sidecar.log_tail()}")
        said, remedy = told
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
    open_key = directory / "open.key"
    open_key.write_bytes(certificates.client_key.read_bytes())
    open_key.chmod(0o644)
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'one')")
    path = use_engines(rig, another_host={**trusted, "url": f"rediss://localhost:{port}/0"}, plain_port={**trusted, "url": f"rediss://{redis.address}/0"},
                       tls_port={"kind": "redis", "url": f"redis://127.0.0.1:{port}/0"}, open_key={**trusted, "url": url, "key_file": str(open_key)},
                       right={**trusted, "url": url}, second={**trusted, "url": [f"rediss://localhost:{port}/1", f"rediss://127.0.0.1:{port}/1"]}, **sections)
    for name in ("another_host", "plain_port", "tls_port", "open_key", "right", "second"):
        create_index(rig, f"in_{name}", name, "SELECT id, name FROM item", ["id"], key=name + ":{id}")
    expect_problems(rig, sections, f"127.0.0.1:{port}")
    rig.wait_until(lambda: NOT_TRUSTED in (problem(rig, "in_another_host")[0] or ""), lambda: f"another host: {problem(rig, 'in_another_host')}")
    for name in ("plain_port", "tls_port"):
        rig.wait_until(lambda: "cannot be reached" in (problem(rig, f"in_{name}")[0] or ""), lambda: f"{name}: {problem(rig, f'in_{name}')}")
    rig.wait_until(lambda: "key_file" in (problem(rig, "in_open_key")[0] or ""), lambda: f"the key that all can read: {problem(rig, 'in_open_key')}")
    wait_complete(rig, "in_right", "in_second")
    assert redis.contents() == {"right:1": '{"id": 1, "name": "one"}'} and not certificates.secrets_in(rig.sidecar.log())
    told = rig.command("check", "--config", str(path), check=False).stdout
    assert NOT_TRUSTED in told and f"redis 7 at 127.0.0.1:{port}" in told, told


def test_an_authority_that_is_named_is_the_only_one(rig, make_redis, directory):
    """Not one of many: those of the system are trusted where none is named."""
    certificates = Certificates(directory)
    within = as_the_systems(certificates.authority)
    if within is None:
        raise Unavailable("no file system can be mounted")
    _, port = make_tls_redis(make_redis, certificates)
    section = {"kind": "redis", "url": f"rediss://127.0.0.1:{port}/0", **certificates.trusted()}
    unnamed = {name: value for name, value in section.items() if name != "ca_file"}
    path = use_engines(rig, named={**section, "ca_file": str(certificates.other_authority)}, unnamed=unnamed)
    told = rig.command("check", "--config", str(path), check=False, within=within).stdout
    lines = {name: next(line for line in told.splitlines() if f"index.{name} " in line) for name in ("named", "unnamed")}
    assert NOT_TRUSTED in lines["named"] and "redis 7 at" in lines["unnamed"], told


@needs(seconds=40)
def test_search_engine_over_tls(rig, make_opensearch, directory):
    certificates = Certificates(directory)
    engine = make_opensearch()
    target = engine.address.removeprefix("http://")
    with contextlib.closing(TlsProxy(target, certificates.server, certificates.server_key, certificates.authority)) as proxy:
        url = f"https://127.0.0.1:{proxy.port}"
        sections = {name: {"kind": "opensearch", "url": url, **settings} for name, settings in {**certificates.wrong(), "right": certificates.trusted()}.items()}
        sections["second"] = {**sections["right"], "url": [f"https://localhost:{proxy.port}", url]}
        rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, 5000) AS i")
        use_engines(rig, **sections)
        for name in ("right", "second"):
            create_index(rig, f"in_{name}", name, "SELECT id, name FROM item", ["id"])
        expect_problems(rig, certificates.wrong(), url)
        wait_complete(rig, "in_right", "in_second")
        rig.sql("UPDATE item SET name = 'another' WHERE id % 2 = 0; DELETE FROM item WHERE id % 5 = 0")
        run = verify(rig, "in_right")
        assert run["state"] == "done" and run["differing"] == 0 and run["documents_compared"] == 4000, run
        assert engine.request("GET", "/_cat/indices?h=index&s=index&format=json")[1] == [{"index": "in_right-000001"}, {"index": "in_second-000001"}]
        assert not certificates.secrets_in(rig.sidecar.log())
