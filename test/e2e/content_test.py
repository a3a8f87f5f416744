"""Rows that exist, in topics. Goal: who applies the records of a table's topic in order, from the beginning, ends with the
table, whatever was written and whatever was killed while its rows were read. Method: writers change rows, keys and large
values all the time; the topics are read by code that knows topic.proto alone (rig/topics.py), which checks the chain with
every chunk in it, and replayed; PostgreSQL's rows are the oracle, and for bytes the decoder's own records of the same rows."""

import contextlib
import random
import re
import threading
import time

import psycopg2

from publish_test import Published
from rig.topics import apply_records, fields, one, read_units, row

LARGE = "repeat(md5(g::text), 100)"  # out of line: 3,200 bytes, stored as they are


class Content(Published):
    """`item` has rows before publishing begins."""

    def __init__(self, rig, kafka, rng=None, rows=20000, **settings):
        super().__init__(rig, kafka, rng, **{"snapshot": '"initial"', **settings})
        rig.sql("ALTER TABLE item ALTER note SET STORAGE EXTERNAL")
        rig.sql(f"INSERT INTO item SELECT g, 0, CASE WHEN g % 50 = 0 THEN {LARGE} ELSE 'note ' || g END FROM generate_series(1, {rows}) AS g")
        rig.sql("INSERT INTO tag SELECT g, 'tag ' || g FROM generate_series(1, 30) AS g; ANALYZE item, tag")
        self.rows = rows

    def state(self, table="public.item", kind="initial"):
        """Of the last one asked for."""
        found = self.rig.sql("SELECT state FROM anabranch.contents WHERE table_name = %s AND kind = %s ORDER BY requested_at DESC LIMIT 1", (table, kind))
        return found[0][0] if found else None

    def wait_content(self, table="public.item", kind="initial", state="done", seconds=90):
        try:
            self.rig.wait_until(lambda: self.state(table, kind) == state, f"content of {table} to be {state}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.rig.sql('SELECT * FROM anabranch.contents')}") from error

    def wait_nothing_to_read(self):
        """Until what was to be read without being asked for would be there. Requests come before that, and after the first of two
        the publisher looks at once for what is next."""
        for _ in range(2):
            self.rig.sql("SELECT anabranch.republish('tag')")
            self.wait_content("public.tag", "republish")

    def wait_forgotten(self, table):
        """Until the publisher has seen that the table is not published any more."""
        key = f"home//{self.rig.value('SELECT %s::regclass::oid', (table,))}/initial".encode()

        def is_forgotten():
            latest = {record.key: record.value for record in self.kafka.read(f"{self.prefix}.progress")}
            return key in latest and latest[key] is None
        self.rig.wait_until(is_forgotten, f"the content of {table} to be forgotten")

    def records(self, table):
        return self.kafka.read(f"{self.prefix}.{table}")

    def expect_replayed(self, table, columns):
        """The topic, applied from its beginning, is the table."""
        self.wait_published()
        found = apply_records(self.records(table))
        expected = self.rig.sql(f"SELECT {', '.join(columns)} FROM {table}")
        found = sorted(tuple(decoded(values, number) for number in range(1, len(columns) + 1)) for values in found.values())
        assert len(found) == len(expected), f"{table}: {len(found)} rows in the topic, {len(expected)} in the table"
        for mine, theirs in zip(found, sorted(expected)):
            assert mine == theirs, f"{table}: the topic ends with {str(mine)[:200]}, the table has {str(theirs)[:200]}"

    def expect_whole(self):
        self.expect_replayed("public.item", ["id", "n", "note"])
        self.expect_replayed("public.tag", ["a", "b"])
        return read_units(self.kafka, self.prefix, content=True)

    @contextlib.contextmanager
    def writers(self, count=3, statements=None):
        """Writers beside what the block does; failures of theirs while a server is away are theirs."""
        stop = threading.Event()
        seeds = [self.rng.randrange(2**32) for _ in range(count)]
        threads = [threading.Thread(target=self._write, args=(seed, stop, statements)) for seed in seeds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _write(self, seed, stop, statements):
        rng = random.Random(seed)
        while not stop.is_set():
            with contextlib.suppress(psycopg2.Error), contextlib.closing(self.rig.session()) as session, session.cursor() as cursor:
                while not stop.is_set():
                    with contextlib.suppress(psycopg2.errors.UniqueViolation, psycopg2.errors.DeadlockDetected):
                        cursor.execute("BEGIN")
                        for _ in range(rng.choice([1, 1, 3])):
                            cursor.execute(rng.choice(statements or STATEMENTS).format(
                                a=rng.randrange(self.rows), b=rng.randrange(1, 30), c=rng.randrange(1000), d=self.rows + rng.randrange(10**6)))
                        if rng.random() < 0.1:
                            time.sleep(rng.random() / 20)  # open for a while: not visible to a snapshot
                        cursor.execute(rng.choice(["COMMIT"] * 9 + ["ROLLBACK"]))
                        continue
                    cursor.execute("ROLLBACK")


STATEMENTS = [
    "UPDATE item SET n = n + 1 WHERE id = {a}", "UPDATE item SET n = n + 1 WHERE id % 50 = 0 AND id BETWEEN {a} AND {a} + 300",
    "UPDATE item SET note = repeat(md5('{c}'), 100) WHERE id = {a}", "DELETE FROM item WHERE id = {a}",
    "INSERT INTO item VALUES ({a}, {b}, 'again {c}') ON CONFLICT (id) DO UPDATE SET n = -1",
    "UPDATE item SET id = id + {d}, note = 'moved' WHERE id = {a}", "UPDATE item SET id = {a}, note = 'back' WHERE id = (SELECT max(id) FROM item)",
    "UPDATE tag SET b = b || '{c}' WHERE a = {b} AND length(b) < 1000", "DELETE FROM tag WHERE a = {b}", "INSERT INTO tag VALUES ({b}, 't{c}') ON CONFLICT DO NOTHING",
]


def decoded(values, number):
    value = values.get(number)
    if isinstance(value, bytes):
        return value.decode()
    return None if value is None else value >> 1 ^ -(value & 1)


def test_a_topic_begins_with_the_rows_that_exist(rig, kafka, rng):
    content = Content(rig, kafka, rng)
    with content.writers():
        rig.sidecar.start()
        content.wait_content()
        content.wait_content("public.tag")
    units = content.expect_whole()
    chunks = [unit for unit in units if unit.content]
    assert len(chunks) >= 5, "several chunks"
    assert any(not unit.content and not unit.position for unit in units[units.index(chunks[0]):units.index(chunks[-1])]), "and the stream went on between"
    (rows, read, expected), = rig.sql("SELECT rows, rows_read, rows_expected FROM anabranch.contents WHERE table_name = 'public.item'")
    assert 0 < rows <= read and expected == content.rows
    rig.sidecar.stop()
    audit = rig.command("-c", str(content.config), "audit").stdout
    assert "whole: " in audit and re.search(r"[0-9,]+ rows? that existed", audit), audit
    # A second start reads nothing again.
    before = len(content.records("public.item"))
    rig.sidecar.start()
    content.wait_nothing_to_read()
    assert len(content.records("public.item")) == before
    rig.sidecar.stop()


def test_content_is_exact_when_killed_at_each_step(rig, kafka, rng):
    content = Content(rig, kafka, rng)
    with content.writers(2):
        for name in ("content_read:2", "content_placed:1", "content_placed:3", "publish_records_delivered:4", "publish_progress_written:5",
                     "publish_committed:6", "publish_before_acknowledge:7", "content_placed:2"):
            rig.sidecar.start(failpoint=name)
            rig.wait_until(lambda: not rig.sidecar.running() or content.state() == "done", f"to be killed at {name}")
            rig.sidecar.kill()
            if content.state() == "done":
                rig.sql("SELECT anabranch.republish('item')")
        rig.sidecar.start()
        content.wait_content()
        content.wait_content("public.tag")
    content.expect_whole()
    rig.sidecar.stop()


def test_content_is_exact_when_everything_crashes(rig, make_kafka, rng):
    kafka = make_kafka()
    content = Content(rig, kafka, rng, rows=60000)
    with content.writers(2):
        rig.sidecar.start()
        for _ in range(6):
            time.sleep(rng.random())
            content.crash_one()
        content.wait_content()
        content.wait_content("public.tag")
    content.expect_whole()
    rig.sidecar.stop()


HARD = """CREATE TABLE hard (
  k1 text, k2 numeric, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, d date, t time, ts timestamp, tz timestamptz,
  iv interval, u uuid, j json, jb jsonb, x bytea, a int[], r int4range, c char(5), v varchar, o oid, m money, ip inet, e text,
  gone int, g int GENERATED ALWAYS AS (i2 * 2) STORED, big text, PRIMARY KEY (k2, k1))"""
HARD_ROWS = """INSERT INTO hard (k1, k2, b, i2, i8, f4, f8, n, d, t, ts, tz, iv, u, j, jb, x, a, r, c, v, o, m, ip, e, big)
  SELECT 'key ' || g, CASE g WHEN 1 THEN 'NaN' WHEN 2 THEN 1.10 ELSE g END, g % 2 = 0, -32768, -9223372036854775808, 'NaN', '-Infinity',
    'Infinity', CASE g WHEN 3 THEN '-infinity' ELSE '0044-03-15 BC'::date END, '24:00', 'infinity', '0001-01-01 00:00:00+00 BC', '-1 mon 3 days -00:00:01.5',
    ('00000000-0000-0000-0000-00000000000' || g)::uuid, '{"a" :  1}', '{"b": [null, 1e400]}', E'\\\\x00ff', '[0:1]={1,NULL}', '[1,)', 'x', '', 4294967295,
    -12.34, '10.0.0.1/8', NULL, CASE g % 3 WHEN 0 THEN repeat('x', 2000000) WHEN 1 THEN repeat(md5(g::text), 300) ELSE 'ü' END
  FROM generate_series(1, 6) AS g"""


def test_a_row_that_is_read_has_the_bytes_of_one_that_is_written(rig, kafka):
    """The decoder's record of a row is the oracle: hard values, dropped and generated columns, values in pieces."""
    content = Content(rig, kafka, snapshot='"never"', rows=1, oversize='"fragment"')
    rig.sql(HARD)
    rig.sql("ALTER TABLE hard DROP COLUMN gone; ALTER TABLE hard ALTER big SET STORAGE EXTERNAL; ALTER PUBLICATION anabranch ADD TABLE hard")
    rig.sidecar.start()
    rig.sql(HARD_ROWS)
    content.wait_published()
    rig.sql("SELECT anabranch.republish('hard')")
    content.wait_content("public.hard", "republish")
    content.wait_published()
    rows = {"c": {}, "r": {}}
    for partition in range(3):
        value = b""
        for record in (r for r in content.records("public.hard") if r.partition == partition):
            fragment = record.header("fragment")
            value += record.value
            if fragment and len(set(fragment.split(b"/"))) != 1:
                continue
            rows[record.header("op").decode()][record.key] = one(value, 4, b"")
            assert not [number for number, _ in fields(value) if number == 7], "nothing is omitted"
            value = b""
    assert len(rows["c"]) == 6 and rows["c"] == rows["r"]
    assert max(map(len, rows["r"].values())) > 2_000_000
    rig.sidecar.stop()


def test_content_is_what_the_publication_publishes(rig, kafka):
    """Row filters, column lists, partitions under their table's name or their own, with other column orders."""
    content = Content(rig, kafka, rows=1)
    rig.sql("""CREATE TABLE part (id int, at int, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
               CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
               CREATE TABLE part_2 (note text, gone int, at int NOT NULL, id int NOT NULL);
               ALTER TABLE part_2 DROP COLUMN gone; ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);
               ALTER TABLE part_2 REPLICA IDENTITY FULL;
               INSERT INTO part SELECT g, g % 20, 'p' || g FROM generate_series(1, 3000) AS g;
               CREATE TABLE leafy (id int PRIMARY KEY) PARTITION BY HASH (id);
               CREATE TABLE filtered (id int PRIMARY KEY, n int, secret text);
               INSERT INTO filtered SELECT g, g % 10, 'secret' FROM generate_series(1, 100) AS g;
               ALTER PUBLICATION anabranch SET (publish_via_partition_root = true);
               ALTER PUBLICATION anabranch ADD TABLE part, filtered (id, n) WHERE (id > 40)""")
    rig.sidecar.start()
    for table in ("part", "filtered"):
        content.wait_content(f"public.{table}")
    content.expect_replayed("public.part", ["id", "at", "note"])
    rows = [row(one(record.value, 4, b"")) for record in content.records("public.filtered")]
    assert sorted(values[1] for values in rows) == list(range(41, 101)) and all(set(values) == {1, 2} for values in rows)
    assert "part_1 is published under the name" in str(rig.sql_error("SELECT anabranch.republish('part_1')"))
    rig.sql("UPDATE part SET note = 'changed' WHERE id < 100; SELECT anabranch.republish('part', condition => 'id < 200 AND at >= 10')")
    content.wait_content("public.part", "republish")
    content.expect_replayed("public.part", ["id", "at", "note"])
    (rows, read), = rig.sql("SELECT rows, rows_read FROM anabranch.contents WHERE kind = 'republish'")
    assert (rows, read) == (100, 3000), (rows, read)
    rig.sidecar.stop()


def test_a_table_that_is_published_later_begins_with_content(rig, kafka, rng):
    """Even what was written before it was published, and committed afterwards, is in its topic."""
    content = Content(rig, kafka, rng, rows=10)
    rig.sidecar.start()
    content.wait_content()
    rig.sql("CREATE TABLE late (id int PRIMARY KEY, n int); INSERT INTO late SELECT g, 0 FROM generate_series(1, 5000) AS g")
    with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
        cursor.execute("BEGIN; INSERT INTO late VALUES (100000, 1); UPDATE late SET n = 7 WHERE id = 3")
        rig.sql("ALTER PUBLICATION anabranch ADD TABLE late")
        rig.wait_until(lambda: content.state("public.late") == "running", "the content to be begun")
        rig.sql("UPDATE late SET n = 1 WHERE id = 5")
        rig.wait_until(lambda: rig.value("SELECT reason LIKE '%transactions%' FROM anabranch.contents WHERE table_name = 'public.late'"), "the reason")
        assert rig.sql("SELECT state, rows FROM anabranch.contents WHERE table_name = 'public.late'") == [("running", 0)]
        cursor.execute("COMMIT")
    content.wait_content("public.late")
    content.expect_replayed("public.late", ["id", "n"])
    # Taken out, changed and put back: it begins anew.
    rig.sql("ALTER PUBLICATION anabranch DROP TABLE late")
    content.wait_forgotten("late")
    rig.sql("UPDATE late SET n = 9; ALTER PUBLICATION anabranch ADD TABLE late")
    rig.wait_until(lambda: [row(one(r.value, 4, b"")).get(2) for r in content.records("public.late")].count(9) == 5001, "the new content")
    content.wait_content("public.late")
    content.expect_replayed("public.late", ["id", "n"])
    rig.sidecar.stop()


def test_a_table_that_is_altered_begins_anew(rig, kafka, rng):
    content = Content(rig, kafka, rng, rows=30000)
    with rig.halted_at("content_placed:3"):  # the middle
        rig.sql("ALTER TABLE item ADD COLUMN more text DEFAULT 'added'; UPDATE item SET n = 5 WHERE id = 1; TRUNCATE tag; INSERT INTO tag VALUES (1, 'after')")
    content.wait_content()
    content.wait_content("public.tag")
    content.expect_replayed("public.item", ["id", "n", "note", "more"])
    content.expect_replayed("public.tag", ["a", "b"])
    assert rig.value("SELECT restarts FROM anabranch.contents WHERE table_name = 'public.item'") == 1
    rig.sidecar.stop()


def test_a_truncation_in_the_middle(rig, kafka, rng):
    content = Content(rig, kafka, rng, rows=30000)
    with rig.halted_at("content_read:3"):
        rig.sql("TRUNCATE item; INSERT INTO item SELECT g, 1, 'new' FROM generate_series(1, 3000) AS g")
    content.wait_content()
    content.expect_whole()
    rig.sidecar.stop()


def test_republish_can_be_watched_and_cancelled(rig, kafka, rng):
    content = Content(rig, kafka, rng, rows=600000, snapshot='"never"')
    rig.sidecar.start()
    rig.sql("INSERT INTO tag VALUES (31, 'x')")
    content.wait_published()
    assert content.state() is None, "nothing was asked for"
    rig.sql("SELECT anabranch.republish('item', condition => $$ note LIKE 'note %' AND n + 0 >= 0 $$)")
    rig.wait_until(lambda: rig.sql("SELECT 1 FROM anabranch.contents WHERE state = 'running' AND rows > 0 AND rows_per_second > 0 AND time_left IS NOT NULL"),
                   "progress to be seen")
    rig.sql("SELECT anabranch.cancel_republish('item')")
    content.wait_content(kind="republish", state="cancelled")
    assert 0 < rig.value("SELECT rows FROM anabranch.contents") < 588000
    rig.sql("SELECT anabranch.republish('tag', condition => 'a > 10')")
    content.wait_content("public.tag", "republish")
    assert rig.value("SELECT rows FROM anabranch.contents WHERE table_name = 'public.tag'") == 21
    rig.sidecar.stop()


def test_bad_requests_are_refused(rig, kafka, rng):
    content = Content(rig, kafka, rng, rows=10)
    rig.sidecar.start()
    content.wait_content()
    rig.sql("""CREATE TABLE keyless (x int); CREATE TABLE aside (x int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS x;
               CREATE ROLE nobody_special LOGIN; GRANT SELECT ON item TO nobody_special;
               CREATE ROLE operates LOGIN IN ROLE anabranch_operator; CREATE FUNCTION evil() RETURNS bool LANGUAGE sql AS 'SELECT true'""")
    rig.sql("ALTER PUBLICATION anabranch ADD TABLE keyless")
    refused = {
        "'nosuch'": "does not exist", "'keyless'": "Give it a primary key", "'aside'": "ADD TABLE public.aside adds it", "'seen'": "is not a table",
        "NULL": "must not be null", "'item', 'nosuch = 1'": "does not exist", "'item', 'id = '": "syntax error", "'item', 'id'": "must be type boolean",
        "'item', 'id = 1) ORDER BY (1'": "is more than an expression", "'item', 'random() < 1'": "volatile function", "'item', 'evil()'": "volatile function",
        "'item', 'id IN (SELECT 1)'": "subquery", "'item', 'count(*) > 1'": "aggregate functions are not allowed",
    }
    for arguments, words in refused.items():
        error = rig.sql_error(f"SELECT anabranch.republish({arguments})")
        assert words in f"{error} {getattr(error, 'diag', None) and error.diag.message_hint}", f"{arguments}: {error}"
    assert "permission denied" in str(rig.sql_error("SELECT anabranch.republish('item')", user="nobody_special"))
    assert "permission denied" in str(rig.sql_error("SELECT anabranch.cancel_republish('item')", user="nobody_special"))
    assert "only the owner" in str(rig.sql_error("SELECT anabranch.republish('item', 'id > 1')", user="operates"))
    assert "no rows of table" in str(rig.sql_error("SELECT anabranch.cancel_republish('item')"))
    # A table without a key has no initial content, says so, and stops nobody.
    content.wait_content("public.keyless", state="failed")
    assert "Give it a primary key" in rig.value("SELECT reason FROM anabranch.contents WHERE table_name = 'public.keyless'")
    # What fails while it is read fails alone.
    rig.sql("SELECT anabranch.republish('item', '1 / (id - 5) > -1')")
    content.wait_content(kind="republish", state="failed")
    assert "division by zero" in rig.value("SELECT reason FROM anabranch.contents WHERE kind = 'republish'")
    rig.sql("INSERT INTO tag VALUES (99, 'still there')")
    content.wait_published()
    rig.sidecar.stop()


def test_content_is_read_anew_when_changes_were_lost(rig, kafka, rng):
    for mode, anew in (("when_needed", True), ("initial", False)):
        content = Content(rig, kafka, rng, rows=100, snapshot=f'"{mode}"')
        rig.sidecar.start()
        content.wait_content()
        content.wait_content("public.tag")
        content.wait_published()
        rig.sidecar.stop()
        rig.sql("UPDATE item SET n = 77")
        rig.sql("SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots WHERE plugin = 'anabranch_decoder'")
        rig.command("-c", str(content.config), "adopt")
        before = len(content.records("public.item"))
        rig.sidecar.start()
        rig.sql("UPDATE item SET n = 78 WHERE id = 1")
        content.wait_published()
        if anew:
            rig.wait_until(lambda: len(content.records("public.item")) >= before + 100, "the rows to come again")
            content.expect_replayed("public.item", ["id", "n", "note"])
        else:
            content.wait_nothing_to_read()
            assert len(content.records("public.item")) == before + 1
        rig.sidecar.stop()
        rig.sql("DROP TABLE item, tag; SELECT pg_drop_replication_slot('oracle'); DELETE FROM anabranch.publisher; DELETE FROM anabranch.content; "
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
