"""Logical messages: events that are published with the rows of their transaction, or not at all. Goal: each committed message of
a configured prefix is a record of its topic, once, in the order of transactions and of what was written in them, with its
content byte for byte. Method: test_decoding on the same WAL is the oracle, as for rows (rig/topics.py); the program is killed
at every step of a Kafka transaction; contents are compared with what was sent."""

import contextlib
import json

from publish_kill_test import TRANSACTION
from rig.publishing import Published

PREFIXES = ("outbox", "audit log")


class PublishedMessages(Published):
    prefixes = PREFIXES

    def __init__(self, rig, kafka, rng=None, **settings):
        super().__init__(rig, kafka, rng, messages=json.dumps(PREFIXES), **settings)

    def emit(self, content, prefix="outbox", transactional=True):
        self.rig.sql("SELECT pg_logical_emit_message(%s, %s, %s)", (transactional, prefix, content))

    def topic(self, prefix="outbox"):
        return f"{self.prefix}.message.{prefix}"

    def records(self, prefix="outbox"):
        self.wait_published()
        return self.kafka.read(self.topic(prefix))

    def events(self, transactions):
        """Random transactions of rows and messages, with savepoints rolled back, and messages outside of transactions."""
        rng = self.rng
        for n in range(transactions):
            with contextlib.closing(self.rig.session()) as session, session.cursor() as cursor:
                cursor.execute("BEGIN")
                for _ in range(rng.choice([1, 1, 2, 6])):
                    cursor.execute(rng.choice([
                        "SELECT pg_logical_emit_message(true, 'outbox:{a}', 'event {c}')",
                        "SELECT pg_logical_emit_message(true, 'outbox', '')",
                        "SELECT pg_logical_emit_message(true, 'nobody', 'wants {c}')",
                        "SAVEPOINT s; SELECT pg_logical_emit_message(true, 'outbox', 'undone {c}'); INSERT INTO tag VALUES ({a}, '{c}') ON CONFLICT DO NOTHING; ROLLBACK TO s",
                        "SAVEPOINT s; SELECT pg_logical_emit_message(true, 'outbox:{a}:{c}', 'kept {c}'); RELEASE s",
                        "SELECT pg_logical_emit_message(false, 'outbox', 'at once {c}')",
                        "INSERT INTO item VALUES ({a}, {c}) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                    ]).format(a=rng.randrange(40), c=rng.randrange(1000)))
                cursor.execute(rng.choice(["COMMIT"] * 4 + ["ROLLBACK"]))


def test_publishes_events_in_order_with_their_rows(rig, kafka, rng):
    published = PublishedMessages(rig, kafka, rng)
    rig.sidecar.start()
    published.events(120)
    units = published.expect_exact()
    mixed = [unit for unit in units if {"m", "c"} <= {change[0] for change in unit.changes}]
    alone = [unit for unit in units if unit.changes and {change[0] for change in unit.changes} == {"m"}]
    assert mixed and any(unit.xid for unit in alone) and any(unit.xid == 0 for unit in alone)
    assert not any(b"undone" in record.value or b"wants" in record.value for record in published.records())
    rig.sidecar.stop()


def test_keys_headers_and_contents_are_what_was_sent(rig, kafka):
    published = PublishedMessages(rig, kafka)
    rig.sidecar.start()
    binary = bytes(range(256)) * 20
    for prefix, content in (("outbox", binary), ("outbox", b""), ("outbox:42", b"keyed"), ("outbox:", b"empty key"), ("outbox:a:b", b"colons"),
                            ("audit log:schön", b"another topic"), ("outboxes", b"not ours"), ("anabranch", b"never"), ("out", b"not ours")):
        rig.sql("SELECT pg_logical_emit_message(true, %s, %s)", (prefix, content))
    rig.sql("BEGIN; INSERT INTO item VALUES (1); SELECT pg_logical_emit_message(true, 'outbox', 'second'); COMMIT")
    records = published.records()
    assert [(record.key, record.value) for record in records] == [
        (None, binary), (None, b""), (b"42", b"keyed"), (b"", b"empty key"), (b"a:b", b"colons"), (None, b"second")], records
    assert [dict(record.headers)["number"] for record in records] == [b"1"] * 5 + [b"2"]
    assert all({name for name, _ in record.headers} == {"lsn", "number", "xid", "op"} and record.header("op") == b"m" for record in records)
    other, = published.records("audit_x20log")
    assert (other.key, other.value) == ("schön".encode(), b"another topic")
    assert f"{published.prefix}.message.outboxes" not in kafka.topics()
    # The last of them, as a person sees it.
    shown = rig.command("-c", str(published.config), "tail", "-n", "1").stdout
    assert 'insert public.item {"id":1,"n":null,"note":null}' in shown and "message outbox second" in shown, shown
    shown = rig.command("-c", str(published.config), "tail", "message.outbox").stdout
    assert "public.item" not in shown and "message outbox:42 keyed" in shown and "5120 bytes that are no text" in shown, shown
    rig.sidecar.stop()


def test_content_that_is_too_large_is_parked_or_cut(make_rig, kafka):
    for oversize in ("park", "fragment"):
        with make_rig(f"-{oversize}") as rig:
            published = PublishedMessages(rig, kafka, oversize=f'"{oversize}"')
            rig.sidecar.start()
            published.emit(b"x" * 3_000_000)
            published.emit(b"y" * 17_000_000)  # the decoder sends none of more than 16 MB
            published.emit(b"z", prefix="outbox:" + "k" * 700_000)
            published.emit(b"after")
            records = published.records()
            assert records[-1].value == b"after"
            letters = rig.sql("SELECT column_name, bytes, reason, topic FROM anabranch.dead_letters ORDER BY lsn")
            if oversize == "park":
                assert [record.value for record in records] == [b"", b"", b"", b"after"], [len(record.value) for record in records]
                assert [letter[:2] for letter in letters] == [("content", 3_000_000), ("content", 17_000_000), ("content", 1)], letters
            else:
                assert b"".join(record.value for record in records if record.header("lsn") == records[0].header("lsn")) == b"x" * 3_000_000
                assert len(records) > 4 and [letter[:2] for letter in letters] == [("content", 17_000_000), ("content", 1)], letters
            assert all(letter[3] == published.topic() for letter in letters)
            assert "whole: " in rig.command("-c", str(published.config), "audit").stdout
            rig.sidecar.stop()


def test_events_are_exact_when_killed_at_each_step(rig, kafka, rng):
    published = PublishedMessages(rig, kafka, rng)
    for name in TRANSACTION:
        rig.sidecar.start(failpoint=f"{name}:1")
        rig.wait_until(lambda: published.events(2) or not rig.sidecar.running(), f"a kill at {name}", seconds=120)
        assert rig.sidecar.wait(60) == -9, f"not killed at {name}:\n{rig.sidecar.log_tail()}"
    rig.sidecar.start()
    published.events(5)
    published.expect_exact()
    rig.sidecar.stop()
