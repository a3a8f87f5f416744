"""A database that is published to Kafka, random work in it, and the comparison at the end."""

import contextlib
import time

import psycopg2.errors

from rig.settings import write_settings
from rig.topics import Oracle, expect_published

TABLES = {"item": ["id", "n", "note"], "tag": ["a", "b"]}
# Of item only the key is in old rows.
COPIES = {
    "items_by_rest": "SELECT id % 7 AS rest, count(*) AS items, sum(id) AS total FROM item GROUP BY 1",
    "tags_by_text": "SELECT b, count(*) AS tags, sum(a) AS total FROM tag GROUP BY b"}

# Some 60 transactions a second, so that the comparison in plain code stays affordable.
LOAD = """
\\set a random(0, 59)
\\set b random(0, 6)
\\set c random(0, 999)
INSERT INTO item VALUES (:a, :b, 'note :c') ON CONFLICT (id) DO UPDATE SET n = excluded.n;
\\sleep 20 ms
BEGIN;
INSERT INTO tag VALUES (:b, 't:c') ON CONFLICT DO NOTHING;
UPDATE item SET n = n + 1, note = 'it''s :c' WHERE id = :a;
SAVEPOINT s;
DELETE FROM item WHERE id = :b;
ROLLBACK TO s;
COMMIT;
\\sleep 20 ms
UPDATE item SET id = id + 1000 * (1 + :c) WHERE id = :a;
\\sleep 20 ms
BEGIN;
DELETE FROM tag WHERE a = :b;
INSERT INTO tag SELECT :b, 'many ' || i FROM generate_series(1, :a) AS i ON CONFLICT DO NOTHING;
DELETE FROM item WHERE id = :b OR id > 900000;
COMMIT;
\\sleep 20 ms
"""


class Published:
    """A database that is published, and what tests do to it."""

    prefixes = ()  # of logical messages that have topics

    def __init__(self, rig, kafka, rng=None, copies=False, brokers=None, properties=None, **settings):
        """`copies`: two of them hang on the topics, kept by a process of their own, and are a part of the comparison. `brokers`:
        their address, where it is not kafka's own. `properties`: of Kafka's client."""
        self.rig, self.kafka, self.rng = rig, kafka, rng
        self.brokers = brokers or kafka.bootstrap
        self.properties = properties or {}
        self.prefix = f"p{time.monotonic_ns()}"
        self.config = rig.directory / f"{self.prefix}.toml"
        self.settings = settings
        self.configure(**settings)
        rig.sql("""CREATE TABLE item (id int PRIMARY KEY, n int, note text);
                   CREATE TABLE tag (a int, b text, PRIMARY KEY (a, b));
                   ALTER TABLE tag REPLICA IDENTITY FULL""")
        rig.command("-c", str(self.config), "init")
        rig.sql("ALTER PUBLICATION anabranch ADD TABLE item, tag")
        self.oracle = Oracle(rig)
        rig.sidecar.arguments = ["-c", str(self.config), "--only", "publish"]
        self.applier = rig.another_sidecar() if copies else None
        if copies:
            for name, query in COPIES.items():
                rig.create(name, query)
            self.applier.arguments = ["-c", str(self.config), "--only", "apply"]
            self.applier.start()

    def configure(self, home="", **settings):
        write_settings(self.config, self.brokers, self.prefix, home=home, properties=self.properties, **settings)

    def work(self, transactions):
        """Random transactions, with changes of keys, truncates and what is rolled back."""
        for _ in range(transactions):
            with contextlib.closing(self.rig.session()) as session, session.cursor() as cursor:
                with contextlib.suppress(psycopg2.errors.UniqueViolation):  # rolled back, at the end of the session
                    self._transaction(cursor)

    def _transaction(self, cursor):
        rng = self.rng
        cursor.execute("BEGIN")
        for _ in range(rng.choice([1, 1, 1, 2, 5, 40])):
            cursor.execute(rng.choice([
                "INSERT INTO item VALUES ({a}, {b}, 'note {c}') ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                "UPDATE item SET n = n + 1, note = 'it''s {c}' WHERE id % 7 = {b}", "DELETE FROM item WHERE id = {a}",
                "UPDATE item SET id = id + {d} WHERE id = {a}", "INSERT INTO tag VALUES ({b}, 't{c}') ON CONFLICT DO NOTHING",
                "UPDATE tag SET b = b || '{c}' WHERE a = {b}", "SAVEPOINT s; DELETE FROM item WHERE id < {b}; ROLLBACK TO s",
            ]).format(a=rng.randrange(60), b=rng.randrange(7), c=rng.randrange(1000), d=rng.randrange(100, 10**6)))
        if rng.random() < 0.03:
            cursor.execute("TRUNCATE item, tag")
        cursor.execute(rng.choice(["COMMIT"] * 9 + ["ROLLBACK"]))

    def crash_one(self):
        """kill -9 of the sidecar, the server or the broker, and its restart."""
        victim = self.rng.choice(["sidecar", "server", "broker"])
        if victim == "sidecar":
            self.rig.sidecar.kill()
            self.rig.sidecar.start()
        elif victim == "server":
            self.rig.crash_restart()
        else:
            self.kafka.kill()
            self.kafka.start()

    def wait_published(self, seconds=90):
        """Until everything that is committed now is acknowledged: then it is in the topics."""
        end = self.rig.value("SELECT pg_current_wal_insert_lsn()")
        self.rig.wait_until(lambda: self.confirmed() >= self.lsn(end), f"publishing up to {end}", seconds)

    @staticmethod
    def lsn(text):
        high, low = text.split("/")
        return int(high, 16) << 32 | int(low, 16)

    def confirmed(self):
        return self.lsn(self.rig.value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE plugin = 'anabranch_decoder'"))

    def expect_exact(self):
        """Nobody may be writing. What PostgreSQL's own decoder makes of the WAL = what read_committed readers find = what the
        copies hold; and the audit agrees."""
        self.wait_published()
        units = expect_published(self.kafka, self.prefix, self.oracle, TABLES, self.prefixes)
        if self.applier:
            assert self.applier.running(), self.applier.log_tail()
            self.rig.expect_current(COPIES)
        done = self.rig.command("audit", "-c", str(self.config), check=False, seconds=300)
        assert done.returncode == 0 and "whole:" in done.stdout, done.stdout + done.stderr
        return units

    def expect_stop(self, reason, status=4, seconds=60):
        assert self.rig.sidecar.wait(seconds) == status, self.rig.sidecar.log_tail()
        assert f"publishing stops ({reason})" in self.rig.sidecar.log(), self.rig.sidecar.log_tail()
