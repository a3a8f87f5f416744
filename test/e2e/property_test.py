"""A copy equals its definition, whatever the tables, the definition and the writes.

Method: random tables, random definitions from what is supported, and two sessions that write at random (rolled back
transactions, savepoints, prepared transactions, key changes, large values left unchanged, bulk updates, DDL), while the
sidecar is halted, killed and restarted at random, so that batches end anywhere. Every so often everything stops, and
each copy is compared with its definition. A failing seed is repeated with --seed.
"""

import contextlib
import itertools
import os
import time

import psycopg2

from rig import random_schema

WORLDS = int(os.environ.get("ANABRANCH_WORLDS", "6"))
ROUNDS = 4
TRANSACTIONS_A_ROUND = 60


class Writer:
    """One session that writes at random. What the server refuses is rolled back and forgotten."""

    def __init__(self, session, rng, tables, next_id):
        self.cursor, self.rng, self.tables, self.next_id = session.cursor(), rng, tables, next_id
        self.cursor.execute("SET lock_timeout = '300ms'")
        self.prepared = itertools.count()

    def attempt(self, sql):
        try:
            self.cursor.execute(sql)
            return True
        except psycopg2.OperationalError:
            if self.cursor.connection.closed:
                raise
            return False
        except psycopg2.Error:
            return False

    def write(self):
        return self.attempt(random_schema.statement(self.rng, self.rng.choice(self.tables), self.next_id))

    def transaction(self):
        rng = self.rng
        kind = rng.choices(["single", "commit", "rollback", "savepoints", "prepared", "ddl", "ddl_inside"], [6, 4, 1, 3, 1, 1, 1])[0]
        if kind == "single":
            self.write()
        elif kind == "ddl":
            self.attempt(random_schema.ddl(rng, rng.choice(self.tables)))
        else:
            self.attempt("BEGIN")
            for _ in range(rng.randint(1, 4)):
                if kind == "savepoints":
                    self.attempt("SAVEPOINT s")
                    if not self.write() or rng.random() < 0.4:
                        self.attempt("ROLLBACK TO s")
                else:
                    self.write()
                if kind == "ddl_inside":
                    self.attempt(random_schema.ddl(rng, rng.choice(self.tables)))
            self.end(kind)

    def end(self, kind):
        if kind == "prepared":
            name = f"p{id(self)}_{next(self.prepared)}"
            if self.attempt(f"PREPARE TRANSACTION '{name}'"):
                self.attempt(f"{self.rng.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{name}'")
                return
        self.attempt("ROLLBACK" if kind == "rollback" else "COMMIT")


def disturb(rig, rng):
    """Moves the ends of batches: the sidecar pauses, dies, or is left alone."""
    kind = rng.choice(["nothing"] * 6 + ["halt"] * 3 + ["kill", "stop"])
    if kind == "halt":
        rig.sidecar.halt()
        time.sleep(0.1 * rng.random())
        rig.sidecar.go_on()
    elif kind in ("kill", "stop"):
        getattr(rig.sidecar, kind)()
        rig.sidecar.start()


def expect_proved(rig, copies):
    """Verification comes to the same, also by a twin: whatever types and values there are, no difference is seen where none is."""
    runs = [rig.value("SELECT anabranch.verify(%s, duty => 1)", (copy,)) for copy in copies]
    runs.append(rig.value("SELECT anabranch.rebuild(%s)", (next(iter(copies)),)))
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM anabranch.verification WHERE state IN ('queued', 'running')") == 0, "the verifications to end")
    found = rig.sql("""SELECT v.run, v.copy::text, v.purpose, v.state, v.differing, v.reason, d.class, d.expected_state, d.actual_state
                       FROM anabranch.verifications AS v LEFT JOIN anabranch.differences AS d ON d.run = v.run
                       WHERE v.run = ANY (%s) AND (v.state <> 'done' OR v.differing <> 0) LIMIT 5""", (runs,))
    assert not found, found


def one_world(rig, rng):
    tables, schema = random_schema.make_tables(rng)
    rig.sql(schema)
    counter = itertools.count(1)

    def next_id(count=1):
        first = next(counter)
        for _ in range(count - 1):
            next(counter)
        return first

    rig.init()
    with contextlib.ExitStack() as stack:
        writers = [Writer(stack.enter_context(contextlib.closing(rig.session())), rng, tables, next_id) for _ in range(2)]
        for _ in range(40):
            writers[0].write()
        copies = {}
        for number in range(4):
            query = (random_schema.rows_query if rng.random() < 0.3 else random_schema.aggregate_query)(rng, tables)
            copies[f"copy{number}"] = query
            print(f"    copy{number}: {query}")
            rig.create(f"copy{number}", query)
        rig.sidecar.start()
        for _ in range(ROUNDS):
            for _ in range(TRANSACTIONS_A_ROUND):
                rng.choice(writers).transaction()
                if rng.random() < 0.1:
                    disturb(rig, rng)
            rig.expect_current(copies)
        expect_proved(rig, copies)
    rig.sidecar.stop()


def test_random_worlds(make_rig, rng):
    for number in range(WORLDS):
        with make_rig(suffix=f"-{number}", max_prepared_transactions="5") as rig:
            print(f"    world {number}")
            one_world(rig, rng)
