"""What bench/indexes measures with: a table whose rows are documents, our indexes of it, and those who load the same documents."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import subprocess
import time

from common import ROOT, peak_mb
from rig.indexes import create_index, redis_section, search_section, use_engines
from rig.searches import mark

BARE_WRITER = ROOT / "build" / "bare_writer"
WAIT_SECONDS = 7200

# About 300 bytes as JSON; words as seldom or as frequent as in a text, some.
TABLE = """
CREATE TABLE item (
  id int PRIMARY KEY, title text NOT NULL, description text NOT NULL, category text NOT NULL, price numeric(10, 2) NOT NULL,
  quantity int NOT NULL, updated timestamptz NOT NULL, revision int NOT NULL);
ALTER TABLE item REPLICA IDENTITY FULL;
CREATE FUNCTION words(seed int, count int) RETURNS text LANGUAGE sql STRICT AS
  $$ SELECT string_agg(left(md5((abs(hashint8(seed * 1009::bigint + n)) %% (1 + (4096 / n)))::text), 3 + n %% 5), ' ') FROM generate_series(1, count) AS n $$;
CREATE FUNCTION fill(first int, last int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO item SELECT i, words(i, 4), words(-i, 20), 'category ' || i %% 50, i %% 10000 * 0.01, i %% 1000, '2026-01-01'::timestamptz + i * interval '1 s', 0
  FROM generate_series(first, last) AS i $$;
""".replace("%%", "%")
QUERY = "SELECT id, title, description, category, price, quantity, updated, revision FROM item"
HASH = {"shape": "hash", "key": "item:{id}"}


def make_table(rig, rows):
    rig.sql(TABLE)
    rig.sql("SELECT fill(1, %s)", (rows,))
    rig.sql("VACUUM ANALYZE item")


def every(seconds, done):
    """The moment at which done() was true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing has come of it within {WAIT_SECONDS} s")
        time.sleep(seconds)
    return time.monotonic()


class Engine:
    """A search engine, asked through one connection."""

    def __init__(self, address):
        self.host = address.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self.host, timeout=600)

    def ask(self, method, path, body=None):
        self._connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def count(self, alias, **term):
        status, answer = self.ask("GET", f"/{alias}/_count", {"query": {"term": term}} if term else None)
        return answer["count"] if status == 200 else 0


class Indexes:
    """The sidecar, and what it has of memory in all its runs."""

    def __init__(self, rig, **sections):
        self.rig, self.peak = rig, 0.0
        use_engines(rig, **sections)

    def start(self):
        self.rig.sidecar.start()

    def pid(self):
        return self.rig.sidecar.process.pid

    def session(self):
        """The process of the server that reads the documents; None: it has not begun."""
        return self.rig.value("SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'anabranch index'")

    def stop(self):
        self.peak = max(self.peak, peak_mb(self.pid()))
        self.rig.sidecar.stop()

    def create(self, name, engine, **options):
        """(the moment before, and when its copy is live)"""
        began = time.monotonic()
        create_index(self.rig, name, engine, QUERY, ["id"], **options)
        every(0.02, lambda: self.rig.state(name)[0] == "live")
        return began, time.monotonic()

    def complete(self, name):
        """The moment at which it is."""
        return every(0.02, lambda: self.rig.value("SELECT state = 'live' FROM anabranch.indexes WHERE index = %s::regclass", (name,)))

    def reached(self, name, lsn):
        """The moment at which readers find what was written up to there."""
        return every(0.02, lambda: self.rig.value("SELECT coalesce(lsn >= %s::pg_lsn, false) FROM anabranch.indexes WHERE index = %s::regclass", (lsn, name)))

    def drop(self, name):
        self.reached(name, self.rig.value("SELECT pg_current_wal_insert_lsn()::text"))
        self.rig.sql("SELECT anabranch.drop_index(%s::regclass)", (name,))
        every(0.05, lambda: self.rig.value("SELECT count(*) = 0 FROM anabranch.dropped_index"))

    def problems(self):
        return self.rig.sql("SELECT index::text, problem FROM anabranch.indexes WHERE problem IS NOT NULL")


# --- Those who do nothing but write ---------------------------------------------------------------------------------


class Bodies:
    """Files with the documents of the table, for bare_writer."""

    def __init__(self, rig):
        self.rig = rig

    def _write(self, name, line):
        path = pathlib.Path(self.rig.directory, name)
        with path.open("wb") as file, self.rig.session(autocommit=False) as session, session.cursor("documents") as cursor:
            cursor.itersize = 10_000
            cursor.execute(f"SELECT q.id, to_jsonb(q)::text FROM ({QUERY}) AS q ORDER BY q.id")
            for row in cursor:
                file.write(line(*row))
        return path

    def bulk(self):
        return self._write("bulk", lambda key, document: b'{"index":{"_id":"%d"}}\n%s\n' % (key, document.encode()))

    def bulk_as_ours(self, version):
        """With all that anabranch writes beside a document."""
        return self._write(f"bulk-{version}", lambda key, document: b'{"index":{"_id":"%d","version":%d,"version_type":"external_gte"}}\n%s%s' %
                           (key, version, document[:-1].encode(), b',"anabranch":{"mark":"%s"}}\n' %
                            mark(version, hashlib.md5(document.encode()).hexdigest(), '{"id": %d}' % key).encode()))

    def hashes(self):
        def command(key, document):
            words = ["HSET", f"bare:{key}"]
            for name, value in json.loads(document, parse_float=str, parse_int=str).items():
                words += [name, value]
            return f"*{len(words)}\r\n".encode() + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in (word.encode() for word in words))
        return self._write("hashes", command)


# A command of Redis for each row.
COMMANDS = """
SELECT E'*18\\r\\n$4\\r\\nHSET\\r\\n$' || octet_length(k) || E'\\r\\n' || k || (
  SELECT string_agg(E'\\r\\n$' || octet_length(e.key) || E'\\r\\n' || e.key || E'\\r\\n$' || octet_length(e.value) || E'\\r\\n' || e.value, '')
  FROM (VALUES ('id', q.id::text), ('title', title), ('description', description), ('category', category), ('price', price::text), ('quantity', quantity::text),
               ('updated', updated::text), ('revision', revision::text)) AS e (key, value)) || E'\\r'
FROM item AS q, LATERAL (SELECT 'pipe:' || q.id) AS l (k)
"""


def pipe_to_redis(rig, redis):
    """The seconds that "psql | redis-cli --pipe" takes: what one would do who has nothing else."""
    host, port = redis.address.split(":")
    began = time.monotonic()
    with subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "FETCH_COUNT=10000", "-c", COMMANDS], env=rig.sidecar.environment, stdout=subprocess.PIPE) as psql:
        subprocess.run(["redis-cli", "-h", host, "-p", port, "--pipe"], check=True, stdin=psql.stdout, stdout=subprocess.DEVNULL)
    assert psql.returncode == 0
    return time.monotonic() - began


def bare_write(*arguments):
    """The seconds it took."""
    return float(subprocess.run([BARE_WRITER, *map(str, arguments)], check=True, text=True, stdout=subprocess.PIPE).stdout)


class BareIndex:
    """An index with the mapping and the settings of one of ours, loaded by nobody but bare_writer."""

    def __init__(self, engine, ours):
        self.engine = engine
        _, found = engine.ask("GET", f"/{ours}")
        [index] = found.values()
        settings = {name: index["settings"]["index"][name] for name in ("refresh_interval", "gc_deletes", "number_of_shards", "number_of_replicas")}
        self._creation = {"mappings": index["mappings"], "settings": {"index": settings}}

    def make(self):
        self.engine.ask("DELETE", "/bare")
        status, answer = self.engine.ask("PUT", "/bare", self._creation)
        assert status == 200, answer

    def load(self, bodies, documents):
        seconds = bare_write("bulk", self.engine.host, "/bare/_bulk", bodies)
        assert self.engine.count("bare") == documents
        return seconds

    def remove(self):
        self.engine.ask("DELETE", "/bare")


# --- PGSync ---------------------------------------------------------------------------------------------------------


class PGSync:
    """PGSync in the same database system, one run after the other: "pgsync -c" carries over what there is and what has changed since."""

    def __init__(self, rig, engine, redis):
        programs = subprocess.run([ROOT / "bench" / "peers" / "pgsync.sh", "fetch"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
        self.rig, self.engine, self.programs = rig, engine, pathlib.Path(programs)
        self.directory = pathlib.Path(rig.directory, "pgsync-files")
        self.directory.mkdir()
        (self.directory / "schema.json").write_text(json.dumps([{"database": rig.dbname, "index": "pgsync", "nodes": {
            "table": "item", "schema": "public", "columns": [word.strip() for word in QUERY.removeprefix("SELECT ").partition(" FROM")[0].split(",")]}}]))
        search_host, search_port = engine.host.split(":")
        redis_host, redis_port = redis.address.split(":")
        self.environment = {
            **os.environ, "PG_HOST": "127.0.0.1", "PG_PORT": str(rig.cluster.port), "PG_USER": "postgres", "PG_DATABASE": rig.dbname, "PG_PASSWORD": "none",
            "ELASTICSEARCH": "false", "OPENSEARCH": "true", "ELASTICSEARCH_HOST": search_host, "ELASTICSEARCH_PORT": search_port,
            "ELASTICSEARCH_TIMEOUT": "60", "REDIS_HOST": redis_host, "REDIS_PORT": redis_port, "GENERAL_LOGGING_LEVEL": "WARNING"}
        self.run("bootstrap")

    def run(self, program, *arguments):
        """The seconds it took."""
        began = time.monotonic()
        with open(self.directory / "log", "ab") as log:
            subprocess.run([self.programs / program, "-c", "schema.json", *arguments], cwd=self.directory, env=self.environment, check=True,
                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return time.monotonic() - began

    def sync(self, documents, **term):
        """Until all are found; the index is refreshed for it."""
        seconds = self.run("pgsync")
        began = time.monotonic()
        self.engine.ask("POST", "/pgsync/_refresh")
        found = self.engine.count("pgsync", **term)
        assert found == documents, f"PGSync has brought {found} of {documents} documents"
        return seconds + time.monotonic() - began


def pid_of(server):
    return int((server.path / "pid").read_text().split()[0])


@contextlib.contextmanager
def ended(server):
    """A server that is destroyed with the block."""
    try:
        yield server
    finally:
        server.destroy()


__all__ = ["Bodies", "BareIndex", "Engine", "HASH", "Indexes", "PGSync", "QUERY", "bare_write", "ended", "every", "make_table", "pid_of", "pipe_to_redis", "redis_section", "search_section"]
