"""What brokers and networks do to a publisher: restarts, moved leaders, a commit that arrives late, records that a broker had
acknowledged and lost. Afterwards everything is exact, or publishing has stopped by name. Method: as publish_test.py, with real
brokers, a proxy that knows Kafka's requests, and copies of a broker's directory and of a server's files.

ANABRANCH_STALL_SECONDS: how long a publisher is halted within a transaction (default 2; from 75 on the brokers have aborted it)."""

import contextlib
import functools
import os
import shutil
import time

from rig import needs
from rig.publishing import LOAD, Published
from rig.sidecar import command
from rig.topics import one

STALL_SECONDS = int(os.environ.get("ANABRANCH_STALL_SECONDS", "2"))


def test_a_restarted_broker_is_waited_for(rig, make_kafka, rng):
    kafka = make_kafka()
    published = Published(rig, kafka, rng, copies=True)
    rig.sidecar.start()
    with rig.load(LOAD):
        published.wait_published()
        kafka.restart()
        published.wait_published(30)
    published.expect_exact()
    rig.sidecar.stop()


@needs(seconds=60, servers=3)
def test_leaders_move(rig, make_kafka, rng):
    """Of data, of progress, of transactions: one of three brokers dies and comes back; another is stopped cleanly."""
    kafka = make_kafka(nodes=3, properties={"min.insync.replicas": 2, "transaction.state.log.replication.factor": 3,
                                            "transaction.state.log.min.isr": 2, "transaction.state.log.num.partitions": 3})
    published = Published(rig, kafka, rng, copies=True, replication_factor=3)
    rig.sidecar.start()
    with rig.load(LOAD):
        published.wait_published()
        leader = kafka.leader(f"{published.prefix}.progress")
        kafka.kill(leader)
        published.wait_published()
        kafka.start(leader)
        leader = kafka.leader(f"{published.prefix}.transaction")
        kafka.stop(leader)
        published.wait_published()
        kafka.start(leader)
        published.wait_published()
    published.expect_exact()
    rig.sidecar.stop()


def test_a_delayed_commit_ends_no_other_transaction(rig, make_kafka, rng):
    """Its client had given it up and repeated it. When it arrives the next transaction has all its records but the progress: a
    producer that had gone on would see it committed without."""
    kafka = make_kafka(proxied=True)
    published = Published(rig, kafka, rng, copies=True, brokers=kafka.proxy.bootstrap, properties={"socket.timeout.ms": 2000})
    rig.sql("INSERT INTO item VALUES (1, 1, 'first'), (2, 1, 'first')")
    kafka.proxy.delay("EndTxn", seconds=0, times=1)  # of where publishing begins
    held = kafka.proxy.hold("EndTxn")
    rig.sidecar.start(failpoint="publish_parts_written:3:halt")
    held.wait()
    rig.sql("INSERT INTO item VALUES (3, 1, 'second'), (4, 1, 'second')")
    rig.wait_until(rig.sidecar.halted, "the second transaction")
    topic = f"{published.prefix}.public.item"
    assert len(kafka.read(topic, settled=False)) == 2
    answered = kafka.proxy.delay("EndTxn", seconds=0, times=1, answer=True)  # of the one that was held
    held.release()
    answered.wait()
    # What it would have committed would be there before a later transaction is.
    marker = f"later-{published.prefix}"
    kafka.create_topic(marker)
    later = kafka.producer(transactional_id=marker)
    later.init_transactions(60)
    later.begin_transaction()
    later.produce(marker, b"")
    later.commit_transaction(60)
    assert len(kafka.read(marker)) == 1
    assert len(kafka.read(topic, settled=False)) == 2, "the delayed commit has ended another transaction"
    rig.sidecar.go_on()
    published.expect_exact()
    assert "a commit was asked for 2 times" in rig.sidecar.log()
    rig.sidecar.stop()


@needs(seconds=40)
def test_lost_answers_and_cut_connections(rig, make_kafka, rng):
    """Whatever request meets it, asked or answered: nothing twice, nothing lost."""
    kafka = make_kafka(proxied=True)
    published = Published(rig, kafka, rng, copies=True, brokers=kafka.proxy.bootstrap, properties={"socket.timeout.ms": 2000})
    rig.sidecar.start()
    with rig.load(LOAD):
        published.wait_published()
        for api in ("AddPartitionsToTxn", "Produce", "EndTxn", "InitProducerId"):
            for answer in (False, True):
                rules = [kafka.proxy.cut(api, answer=answer)]
                if api == "InitProducerId":
                    rules.append(kafka.proxy.cut("EndTxn", answer=True))  # after which there is a new producer
                for rule in rules:
                    rule.wait()
        dropped = kafka.proxy.drop("Produce", answer=True)
        dropped.wait()
        with kafka.proxy.black_hole():
            time.sleep(3)
        published.wait_published(60)
    published.expect_exact()
    rig.sidecar.stop()


def test_a_publisher_that_stood_still(rig, kafka, rng):
    """SIGSTOP within a transaction; if it lasts, the brokers abort what it had begun."""
    published = Published(rig, kafka, rng, copies=True)
    with rig.load(LOAD):
        with rig.halted_at("publish_progress_written:4"):
            time.sleep(STALL_SECONDS)
        published.wait_published(30)
    published.expect_exact()
    rig.sidecar.stop()


def test_a_clone_fences_nobody(rig, kafka, rng):
    """It has the original's system identifier, so that its producer would be the original's successor, but no slot to go on from."""
    published = Published(rig, kafka, rng, copies=True)
    rig.sidecar.start()
    published.work(5)
    published.wait_published()
    with rig.clone() as (cluster, sidecar):
        def expect_stop(reason):
            sidecar.start()
            assert sidecar.wait(60) == 4 and f"publishing stops ({reason})" in sidecar.log(), sidecar.log_tail()

        with contextlib.closing(cluster.connect(rig.dbname)) as session, session.cursor() as cursor:
            # The original's progress goes on beyond the moment of the copy, which would else be told from it by that alone.
            cursor.execute("SELECT pg_switch_wal()")
            expect_stop("slot_missing")
            command(cluster, rig.dbname, "-c", str(published.config), "init")
            cursor.execute("INSERT INTO item SELECT g, 0, 'of the clone' FROM generate_series(5000, 9000) AS g")
            cursor.execute("SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots")
        expect_stop("gap")
    published.work(5)
    published.expect_exact()
    assert rig.sidecar.log().count(" publishing (") == 1, rig.sidecar.log_tail()
    rig.sidecar.stop()


def recorded_witness(published):
    records = [record for record in published.kafka.read(f"{published.prefix}.progress") if record.key == b"home"]
    return one(records[-1].value, 17, b"").decode()


def wait_recorded(published):
    """Until the topic holds the witness that the database is to tell it next: no copy that was made before has that."""
    published.rig.wait_until(
        lambda: recorded_witness(published) == published.rig.value("SELECT fresh::text FROM anabranch.publisher_witness"), "the witness")


@needs(seconds=60)
def test_a_clone_with_the_slot(rig, kafka, rng):
    """A snapshot of the disk, on the same timeline, that has written more than the topics hold: nothing but its witnesses tells it from
    the original."""
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    published.work(5)
    published.wait_published()
    rig.sidecar.stop()
    with rig.clone(slots=True) as (cluster, sidecar):
        rig.sidecar.start()  # which renews them
        published.work(5)
        published.wait_published()
        wait_recorded(published)
        with contextlib.closing(cluster.connect(rig.dbname)) as session, session.cursor() as cursor:
            cursor.execute("INSERT INTO item SELECT g, 0, 'of the clone' FROM generate_series(5000, 9000) AS g")
            cursor.execute("SELECT pg_switch_wal()")
            cursor.execute("INSERT INTO item SELECT g, 0, 'of the clone' FROM generate_series(9001, 9009) AS g")
            cursor.execute("SELECT count(*) FROM pg_replication_slots WHERE plugin = 'anabranch_decoder' AND pg_current_wal_lsn() > %s",
                           (rig.value("SELECT pg_current_wal_lsn()"),))
            assert cursor.fetchone() == (1,)

        def refused():
            sidecar.start()
            assert sidecar.wait(60) == 4 and "publishing stops (other_history)" in sidecar.log(), sidecar.log_tail()

        done = command(cluster, rig.dbname, "-c", str(published.config), "check", check=False)
        assert done.returncode == 1 and "stops (other_history)" in done.stdout, done.stdout
        refused()
        published.work(5)
        published.expect_exact()
        assert rig.sidecar.log().count(" publishing (") == 2, rig.sidecar.log_tail()

        # To take the topics over and not to have ended is not to have them.
        adopt = functools.partial(command, cluster, rig.dbname, "-c", str(published.config), "adopt")
        assert adopt(check=False, failpoint="adopt_witness_renewed").returncode == -9
        published.expect_stop("fenced", status=3)
        refused()
        rig.sidecar.start()
        published.work(5)
        published.expect_exact()

        said = adopt().stdout
        assert "not in the topics" in said, said
        published.expect_stop("fenced", status=3)
        rig.sidecar.start()
        published.expect_stop("other_history")
        sidecar.start()
        topic = f"{published.prefix}.public.item"
        rig.wait_until(lambda: any(b"of the clone" in record.value for record in kafka.read(topic)), "the clone's rows")
        rig.sidecar.start()
        published.expect_stop("other_history")
        sidecar.stop()


@needs(seconds=60)
def test_a_promoted_standby_is_no_clone(rig, kafka, rng):
    """It has what the topics hold, and so the witness that stands there: what it lacks is the slot."""
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    with rig.standby() as standby:
        published.work(10)
        published.wait_published()
        wait_recorded(published)
        rig.sidecar.stop()
        end = rig.value("SELECT pg_current_wal_flush_lsn()")
        rig.wait_until(lambda: rig.value("SELECT bool_or(flush_lsn >= %s) FROM pg_stat_replication", (end,)), "the standby to have it all")
        rig.cluster.kill()
        standby.promote()
        rig.move_to(standby)
        rig.sidecar.start()
        published.expect_stop("slot_missing")
        rig.init()
        rig.sidecar.start()
        published.expect_stop("gap")
        rig.command("-c", str(published.config), "adopt")
        rig.sidecar.start()
        rig.sql("INSERT INTO item VALUES (12345678, 1, 'of the new primary')")
        published.wait_published()
        wait_recorded(published)
        rig.sidecar.stop()


@needs(seconds=40)
def test_a_broker_that_was_rolled_back_stops_it(rig, make_kafka, rng):
    """Its directory is an earlier copy: what it had acknowledged since is gone. Found by a new start, and by one that runs on."""
    kafka = make_kafka()
    published = Published(rig, kafka, rng)
    rig.sidecar.start()
    published.work(10)
    published.wait_published()
    kafka.stop()
    copy = kafka.path / "copy"
    shutil.copytree(kafka.data(), copy)
    kafka.start()
    published.work(10)
    published.wait_published()

    def roll_back():
        kafka.stop()
        shutil.rmtree(kafka.data())
        shutil.copytree(copy, kafka.data())
        kafka.start()

    roll_back()
    published.expect_stop("progress_fell", seconds=90)
    rig.sidecar.start()
    published.expect_stop("gap")
    assert "anabranch adopt" in rig.sidecar.log()
    said = rig.command("-c", str(published.config), "adopt").stdout
    assert "not in the topics" in said, said
    rig.sidecar.start()
    published.work(3)
    published.wait_published()
    rig.sidecar.stop()
