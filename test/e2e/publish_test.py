"""Publishing to Kafka. Goal: what a read_committed reader finds is what PostgreSQL committed, once, whole and in order, or
publishing stops by name. Method: the oracle is PostgreSQL's own test_decoding on the same WAL; the topics are read and put
together by code that knows topic.proto alone (rig/topics.py). The program is halted while another takes over, and finds its
topics and its slot changed behind its back; publish_kill_test.py kills it, publish_fault_test.py does worse to its brokers."""

import os
import re
import time

from rig import needs
from rig.kafka_reader import Reader
from rig.publishing import Published
from rig.topics import fields, one, read_units

OUTAGE_SECONDS = int(os.environ.get("ANABRANCH_OUTAGE_SECONDS", "5"))


def test_publishes_what_is_committed(rig, kafka, rng):
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    published.work(150)
    units = published.expect_exact()
    assert any(len(unit.changes) > 20 for unit in units)
    keys = {}
    for record in kafka.read(f"{published.prefix}.public.item"):
        if record.key is not None:
            assert keys.setdefault(record.key, record.partition) == record.partition, "one key, one partition"
            assert [number for number, _ in fields(record.key)] == [1]
    assert len(set(keys.values())) == 3
    rig.sidecar.stop()
    state, = rig.sql("SELECT state, reason, lag_bytes >= 0 FROM anabranch.publishers")
    assert state == ("stopped", None, True), state


def test_publishes_a_large_transaction_in_parts(rig, kafka):
    published = Published(rig, kafka)
    rig.sidecar.start()
    rig.sql("INSERT INTO item SELECT g, g, 'note ' || g FROM generate_series(1, 250000) AS g")
    rig.sql("UPDATE item SET n = 0 WHERE id <= 10")
    units = published.expect_exact()
    large = max(units, key=lambda unit: len(unit.changes))
    assert len(large.changes) == 250000 and large.parts >= 25, large.parts
    rig.sidecar.stop()


def test_publishes_a_large_value_in_slices(rig, kafka):
    """And a transaction whose rows often fill a part before its commit is read: then it ends in one without records."""
    published = Published(rig, kafka, copies=True, oversize='"fragment"')
    rig.sidecar.start()
    rig.sql("INSERT INTO item SELECT g, g, repeat('x', 620000) FROM generate_series(1, 14) AS g")
    rig.sql("INSERT INTO item SELECT 15, 15, string_agg(md5(i::text), '') FROM generate_series(1, 100000) AS i")
    published.expect_exact()
    assert any(record.header("fragment") == b"4/4" for record in kafka.read(f"{published.prefix}.public.item"))
    rig.sidecar.stop()


def test_two_sidecars_fence_each_other(rig, kafka, rng):
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    published.work(20)
    published.wait_published()
    rig.sidecar.halt()
    published.work(10)
    # The server lets go of the slot only when it misses the answers of the first.
    rig.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL AND plugin = 'anabranch_decoder'")
    second = rig.another_sidecar()
    second.arguments = rig.sidecar.arguments
    second.start()
    published.work(10)
    published.wait_published()
    rig.sidecar.go_on()
    published.work(20)
    rig.wait_until(lambda: not (rig.sidecar.running() and second.running()), "one of the two to end")
    survivor, fenced = (second, rig.sidecar) if second.running() else (rig.sidecar, second)
    assert fenced.wait() == 3 and "publishing stops (fenced)" in fenced.log(), fenced.log_tail()
    published.expect_exact()
    survivor.stop()


def test_stops_when_the_slot_was_advanced(rig, kafka, rng):
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    published.work(5)
    published.wait_published()
    rig.sidecar.stop()
    published.work(5)
    rig.sql("SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots WHERE plugin = 'anabranch_decoder'")
    rig.sidecar.start()
    published.expect_stop("gap")
    state, reason = rig.sql("SELECT state, reason FROM anabranch.publishers")[0]
    assert state == "stopped" and "anabranch adopt" in reason
    said = rig.command("-c", str(published.config), "adopt").stdout
    assert "not in the topics" in said, said
    rig.sidecar.start()
    published.work(5)
    published.wait_published()
    units = read_units(kafka, published.prefix)
    assert [unit.gap for unit in units].count(True) == 1, "the topic of transactions tells of the gap"
    rig.sidecar.stop()


def test_stops_when_topics_are_lost(rig, kafka, rng):
    for topic, reason in (("progress", "progress_lost"), ("public.item", "topic_lost"), ("transaction", "topic_lost")):
        published = Published(rig, kafka, rng)
        rig.sidecar.start()
        rig.sql("INSERT INTO item SELECT g, g, 'x' FROM generate_series(1, 100) AS g")
        published.wait_published()
        rig.sidecar.stop()
        kafka.delete_topic(f"{published.prefix}.{topic}")
        rig.sidecar.start()
        published.expect_stop(reason)
        # Made anew, and empty, it is no better.
        if topic == "public.item":
            kafka.create_topic(f"{published.prefix}.{topic}", 3)
            rig.sidecar.start()
            published.expect_stop(reason)
        rig.command("-c", str(published.config), "adopt")
        rig.sidecar.start()
        rig.sql("INSERT INTO item VALUES (1000, 1, 'after')")
        published.wait_published()
        assert any(record.header("op") == b"c" and 1000 * 2 in [value for _, value in fields(one(record.value, 4, b""))]
                   for record in kafka.read(f"{published.prefix}.public.item"))
        rig.sidecar.stop()
        rig.sql("DROP TABLE item, tag; SELECT pg_drop_replication_slot('oracle'); DELETE FROM anabranch.publisher; "
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def test_waits_while_brokers_are_away(rig, make_kafka, rng):
    kafka = make_kafka()
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    published.work(5)
    published.wait_published()
    kafka.kill()
    published.work(20)
    rig.wait_until(lambda: rig.value("SELECT count(*) FROM pg_stat_replication") == 1, "the server to keep its reader")
    rig.sql("INSERT INTO item SELECT g, g, repeat('x', 200) FROM generate_series(100000, 400000) AS g ON CONFLICT DO NOTHING")
    time.sleep(OUTAGE_SECONDS)
    assert rig.sidecar.running(), rig.sidecar.log_tail()
    status = dict(re.findall(r"^(\w+):\s+(\d+) kB", open(f"/proc/{rig.sidecar.process.pid}/status").read(), re.M))
    assert int(status["VmHWM"]) < 400_000, status["VmHWM"]
    kafka.start()
    published.expect_exact()
    rig.sidecar.stop()


def test_drops_the_slot_rather_than_fill_the_disk(rig, make_kafka, rng):
    kafka = make_kafka()
    published = Published(rig, kafka, rng)
    published.configure(home='wal_keep_limit = "64 MB"')
    rig.sidecar.start()
    published.work(5)
    published.wait_published()
    kafka.kill()
    rig.sql("CREATE TABLE unpublished AS SELECT g, repeat('x', 500) AS x FROM generate_series(1, 200000) AS g")
    published.work(3)
    published.expect_stop("wal_keep_limit", seconds=90)
    assert rig.value("SELECT count(*) FROM pg_replication_slots WHERE plugin = 'anabranch_decoder'") == 0


@needs(seconds=60)
def test_goes_on_after_crashes_of_everything(rig, make_kafka, rng):
    kafka = make_kafka()
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    for _ in range(8):
        published.work(8)
        published.crash_one()
    published.expect_exact()
    rig.sidecar.stop()


def test_parks_what_is_too_large(rig, kafka):
    published = Published(rig, kafka)
    rig.sidecar.start()
    rig.sql("INSERT INTO item VALUES (1, 2, repeat('x', 3000000))")
    published.wait_published()
    record = kafka.read(f"{published.prefix}.public.item")[0]
    assert dict(fields(one(record.value, 4, b""))) == {1: 2, 2: 4}
    assert one(one(record.value, 7, b""), 1) == 3
    (relation, column, size), = rig.sql("SELECT relation, column_name, bytes FROM anabranch.dead_letters")
    assert (relation, column) == ("public.item", "note") and size > 3_000_000
    rig.sidecar.stop()


def test_an_aborted_transaction_never_shows(rig, kafka):
    """Uncommitted readers see what a killed program has left; committed ones do not, and are not kept waiting."""
    published = Published(rig, kafka)
    # Where publishing begins is the first. When parts are written, brokers have the records that they tell of.
    rig.sidecar.start(failpoint="publish_parts_written:2")
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    assert rig.sidecar.wait(60) == -9
    rig.sidecar.start()
    published.expect_exact()
    topic = f"{published.prefix}.public.item"
    with Reader(kafka.client(), [topic], "read_uncommitted") as reader:
        assert len(reader.read()) > len(kafka.read(topic)), "the killed one had written something"
    rig.sidecar.stop()
