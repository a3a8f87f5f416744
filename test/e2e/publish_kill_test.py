"""Every crash point of the protocol, under load: killed there, or halted while something else dies. Afterwards PostgreSQL's own
decoder, the topics and the copies agree, and publishing goes on within seconds.

ANABRANCH_KILLS_EACH says how often each point is met (default 2), ANABRANCH_KILL_POINTS names some of them (default all)."""

import os
import time

from rig import needs
from rig.publishing import LOAD, Published
from rig.topics import one

KILLS_EACH = int(os.environ.get("ANABRANCH_KILLS_EACH", "2"))
# A start, on a very busy machine. An open transaction that somebody waits for costs 60 s and more.
SECONDS_TO_PUBLISH = 45

PART_END_LSN = 3  # of a Progress (topic.proto): within a transaction
# In the order of a start and of a Kafka transaction.
START = ["publish_before_init", "publish_fenced", "publish_progress_read", "publish_streaming", "publish_witness_renewed"]
TRANSACTION = [
    "publish_begun", "publish_record_produced", "publish_records_produced", "publish_records_delivered", "publish_parts_written",
    "publish_progress_written", "publish_end_sent", "publish_committed", "publish_before_acknowledge", "publish_acknowledged"]
POINTS = os.environ.get("ANABRANCH_KILL_POINTS", " ".join(START + TRANSACTION)).split()


def armed(name, rng):
    """The first time, or later amid the work; a start comes by once."""
    return f"{name}:{1 if name in START else rng.choice([1, 2, rng.randrange(3, 8)])}"


def test_publishes_again_at_once(rig, kafka, rng):
    """What the killed one had begun keeps nobody waiting, least of all its successor: the next start ends it."""
    published = Published(rig, kafka, rng)
    with rig.load(LOAD):
        for _ in range(KILLS_EACH):
            rig.sidecar.start(failpoint=f"publish_progress_written:{rng.randrange(1, 4)}")
            assert rig.sidecar.wait(60) == -9
            rig.sidecar.start()
            published.wait_published(SECONDS_TO_PUBLISH)
            rig.sidecar.kill()
    rig.sidecar.start()
    published.expect_exact()


@needs(seconds=90)
def test_is_exact_when_killed_at_each_step(rig, kafka, rng):
    published = Published(rig, kafka, rng, copies=True)
    for name in POINTS:
        with rig.load(LOAD):
            for _ in range(KILLS_EACH):
                rig.sidecar.start(failpoint=armed(name, rng))
                assert rig.sidecar.wait(SECONDS_TO_PUBLISH) == -9, f"not killed at {name}:\n{rig.sidecar.log_tail()}"
        if KILLS_EACH >= 10:
            rig.sidecar.start()
            published.expect_exact()
            rig.sidecar.kill()
    rig.sidecar.start()
    published.expect_exact()
    rig.sidecar.stop()


@needs(seconds=60)
def test_is_exact_when_the_server_dies_at_each_step(rig, kafka, rng):
    """What had been acknowledged since the last checkpoint is forgotten, and offered again; commits that nobody waited for are
    gone from tables and topics alike."""
    published = Published(rig, kafka, rng, copies=True)
    rig.sql("ALTER DATABASE app SET synchronous_commit = off")
    for _ in range(max(1, KILLS_EACH // 2)):
        for name in rng.sample(TRANSACTION, 3 if KILLS_EACH < 10 else len(TRANSACTION)) + ["publish_acknowledged"]:
            with rig.load(LOAD):
                with rig.halted_at(armed(name, rng)):
                    rig.crash_restart()
                time.sleep(rng.random())
                rig.sidecar.kill()
        rig.sidecar.start()
        published.expect_exact()
        rig.sidecar.kill()


@needs(seconds=60)
def test_is_exact_when_the_broker_dies_at_each_step(rig, make_kafka, rng):
    kafka = make_kafka()
    published = Published(rig, kafka, rng, copies=True)
    with rig.load(LOAD):
        for name in START + TRANSACTION if KILLS_EACH >= 10 else rng.sample(START, 1) + rng.sample(TRANSACTION, 2):
            with rig.halted_at(armed(name, rng)):
                kafka.kill()
                kafka.start()
            published.wait_published()
            rig.sidecar.kill()
    rig.sidecar.start()
    published.expect_exact()
    rig.sidecar.stop()


@needs(seconds=60)
def test_is_exact_when_killed_within_a_large_transaction(rig, kafka, rng):
    published = Published(rig, kafka, rng)
    # 160 MB. Far behind a Kafka transaction is what goes out in a second, and 64 MB at most: that makes three, however fast the machine.
    rig.sql("INSERT INTO item SELECT g, g, repeat(md5(g::text), 200) FROM generate_series(1, 25000) AS g")
    points = ["publish_committed:2", "publish_records_delivered:1", "publish_progress_written:1", "publish_end_sent:1", "publish_acknowledged:1"]
    for name in points * max(1, KILLS_EACH // 10):
        rig.sidecar.start(failpoint=name)
        assert rig.sidecar.wait(90) == -9
    rig.sidecar.start()
    units = published.expect_exact()
    within = [record for record in published.kafka.read(f"{published.prefix}.progress") if record.key == b"home" and one(record.value, PART_END_LSN, 0)]
    assert max(unit.parts for unit in units) > 10 and len(within) > 1, f"{len(within)} Kafka transactions ended within the large one"
    rig.sidecar.stop()
