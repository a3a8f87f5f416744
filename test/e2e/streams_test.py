"""Messages as rows: import_stream makes the messages of a prefix a source for copies. Goal: a copy over a stream has exactly the
committed messages from its making on, each once, beside the rows of tables in the same transactions; what is no row is a dead
letter and stops nothing. Method: every message that is sent is also written to an ordinary table in the same transaction, and the
copy over the stream must equal its query over that table; the sidecar is killed in between; with the slot and with Kafka."""

import contextlib

from rig.through_kafka import ThroughKafka

COPIES = {
    "sums": "SELECT id, count(*) AS n, sum(amount) AS amount FROM {events} GROUP BY id",
    "large": 'SELECT id, amount, "at" FROM {events} WHERE amount > 900',
    "mixed": "SELECT id, sum(n) AS n FROM (SELECT id, 1 AS n FROM {events} UNION ALL SELECT id, 1000 FROM item) AS every GROUP BY id",
}
SENT = """BEGIN;
    INSERT INTO sent SELECT {a}, {b}.5, '2026-01-01 00:00Z'::timestamptz + {b} * interval '1 s';
    SELECT pg_logical_emit_message(true, 'orders:{a}', '{{"id": {a}, "amount": {b}.5, "at": "2026-01-01 00:00Z", "extra": [1]}}');
    {more}
    UPDATE sent SET "at" = '2026-01-01 00:00Z' WHERE id = {a};
    {end}"""


def prepare(rig):
    rig.sql("""CREATE TABLE item (id bigint PRIMARY KEY); CREATE TABLE bad (n int); CREATE TABLE sent (id bigint, amount numeric, "at" timestamptz);
               SELECT anabranch.import_stream('orders', 'id bigint, amount numeric, "at" timestamptz')""")


def create(rig):
    for name, query in COPIES.items():
        rig.create(name, query.format(events="anabranch_stream.orders"), ", prepare_sources => true")


def send(rig, rng, transactions):
    for _ in range(transactions):
        with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
            a, b = rng.randrange(30), rng.randrange(1000)
            more = rng.choice(["", f"INSERT INTO item VALUES ({a}) ON CONFLICT DO NOTHING;",
                               "SELECT pg_logical_emit_message(true, 'orders', 'no row'); INSERT INTO bad VALUES (1);",
                               "SELECT pg_logical_emit_message(true, 'others', '{\"id\": 1}');",
                               "SAVEPOINT s; SELECT pg_logical_emit_message(true, 'orders', '{\"id\": 5}'); ROLLBACK TO s;"])
            cursor.execute(SENT.format(a=a, b=b, more=more, end=rng.choice(["COMMIT"] * 4 + ["ROLLBACK"])))


def expect_exact(rig):
    copies = {name: query.format(events="sent") for name, query in COPIES.items()}
    rig.expect_current(copies)


def letters(rig):
    return rig.sql("SELECT relation, reason, convert_from(content, 'UTF8') FROM anabranch.dead_letters WHERE column_name = 'message' ORDER BY lsn, number")


def run(rig, rng, kills):
    send(rig, rng, 5)  # before there is a copy: not in it
    rig.sql("DELETE FROM sent")
    create(rig)
    rig.sidecar.start()
    rig.wait_live(*COPIES)
    for failpoint in kills:
        rig.sidecar.kill()
        rig.sidecar.start(failpoint=f"{failpoint}:3")
        rig.wait_until(lambda: send(rig, rng, 3) or not rig.sidecar.running(), f"a kill at {failpoint}")
        assert rig.sidecar.wait(60) == -9, f"not killed at {failpoint}:\n{rig.sidecar.log_tail()}"
        rig.sidecar.start()
    send(rig, rng, 60)
    expect_exact(rig)
    found = letters(rig)
    assert found and all(letter[0] == "anabranch_stream.orders" and letter[1].endswith("(22P02)") and letter[2] == "no row" for letter in found), found
    assert len(found) == rig.value("SELECT count(*) FROM bad"), "each once"
    assert rig.value("SELECT count(*) FROM anabranch_stream.orders") == 0


def test_copies_follow_a_stream(rig, rng):
    prepare(rig)
    rig.init()
    run(rig, rng, ["batch_before_commit", "batch_committed"])
    rig.sidecar.stop()


def test_copies_follow_a_stream_through_kafka(rig, kafka, rng):
    prepare(rig)
    published = ThroughKafka(rig, kafka)
    rig.command("-c", str(published.path), "init")
    run(rig, rng, ["publish_parts_written", "publish_committed"])
    assert "whole: " in published.audit()
    checked = rig.command("-c", str(published.path), "check", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rows = kafka.read(f"{published.prefix}.anabranch_stream.orders")
    assert rows and len({row.partition for row in rows}) == 1 and all(row.key is None for row in rows), "in order, without keys"
    assert "insert anabranch_stream.orders {" in rig.command("-c", str(published.path), "tail", "anabranch_stream.orders").stdout
    rig.sidecar.stop()


def test_a_stream_that_is_dropped_makes_its_copies_stale(rig):
    prepare(rig)
    rig.init()
    rig.create("sums", COPIES["sums"].format(events="anabranch_stream.orders"))
    rig.sidecar.start()
    rig.wait_live("sums")
    rig.sql("SELECT pg_logical_emit_message(true, 'orders', '{\"id\": 1, \"amount\": 2}')")
    rig.wait_fresh("sums")
    assert rig.sql("SELECT id, n FROM sums") == [(1, 1)]
    # More columns, and rows written by hand, are as with any source.
    rig.sql("ALTER TABLE anabranch_stream.orders ADD COLUMN note text; INSERT INTO anabranch_stream.orders VALUES (2, 3)")
    rig.sql("SELECT pg_logical_emit_message(true, 'orders', '{\"id\": 2, \"amount\": 2, \"note\": \"x\"}')")
    rig.wait_fresh("sums")
    assert rig.sql("SELECT id, n FROM sums ORDER BY id") == [(1, 1), (2, 2)]
    rig.sql("DROP TABLE anabranch_stream.orders")
    rig.sql("SELECT pg_logical_emit_message(true, 'orders', '{\"id\": 1, \"amount\": 2}')")
    assert rig.wait_for_state("sums", "stale") == "stale"
    rig.sidecar.stop()
