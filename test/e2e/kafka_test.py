"""The broker that other tests stand on. Goal: it is a real one, which keeps what it acknowledged, fences, hides what is not
committed and moves leaders; it ends when told; and what cannot be had is told by name. Method: clients that know nothing
of Anabranch, and scripts/kafka.sh run as a user would."""

import os
import pathlib
import shutil
import subprocess

from confluent_kafka import KafkaError, KafkaException

from rig import needs
from rig.kafka import SCRIPT
from rig.script import EX_UNAVAILABLE
from rig.waiting import wait_until

FETCH = SCRIPT.parent / "fetch-jars.sh"


def script(command, *arguments, status=0, **environment):
    done = subprocess.run([SCRIPT, command, *map(str, arguments)], text=True, stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, **environment})
    assert done.returncode == status, f"kafka.sh {command}: status {done.returncode}, not {status}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def write(kafka, topic, *values, **properties):
    producer = kafka.producer(**properties)
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def values(kafka, topic, **how):
    return [record.value for record in kafka.read(topic, **how)]


def error_code(call, *arguments):
    try:
        call(*arguments)
    except KafkaException as error:
        return error.args[0].code()
    raise AssertionError("succeeded, and should not have")


# --- The script -----------------------------------------------------------------------------------------------------


def test_starts_stops_and_starts_again(directory, make_kafka):
    kafka = make_kafka()
    kafka.create_topic("t")
    write(kafka, "t", b"1")
    pid = kafka.pid()
    assert script("start", kafka.path).strip() == kafka.bootstrap, "a second start is none"
    assert kafka.pid() == pid
    assert f"node=1 state=running pid={pid} bootstrap={kafka.bootstrap}" in script("status", kafka.path)

    kafka.stop()
    assert not pathlib.Path(f"/proc/{pid}").exists() or "Z" in pathlib.Path(f"/proc/{pid}/status").read_text().split("State:")[1][:3]
    assert "state=stopped" in script("status", kafka.path, status=3)
    kafka.start()
    assert kafka.bootstrap_of("CLIENT") == kafka.bootstrap, "the address is kept"
    assert values(kafka, "t") == [b"1"]

    kafka.kill()
    kafka.start()
    write(kafka, "t", b"2")
    assert values(kafka, "t") == [b"1", b"2"]
    kafka.destroy()
    assert not kafka.path.exists()


def test_says_what_is_wrong_with_a_call(directory, kafka):
    assert "no cluster" in script("stop", directory / "none", status=1)
    assert "no node 2" in script("kill", kafka.path, 2, status=2)
    assert "options are for a new one" in script("start", kafka.path, "--nodes", 3, status=2)
    assert "which directory" in script("start", status=2)
    assert "1 to 9" in script("start", directory / "none", "--nodes", "many", status=2)
    assert "no port for node 2" in script("start", directory / "none", "--nodes", 2, "--listener", "P=PLAINTEXT@20000", status=2)
    assert not (directory / "none").exists()
    assert "could not be formatted" in script("start", directory / "bad", "--property", "num.io.threads=0", status=1)
    assert not (directory / "bad").exists()
    assert "did not start" in script("start", directory / "bad", "--property", "authorizer.class.name=no.such.Class", status=1)
    script("destroy", directory / "bad")
    assert not (directory / "bad").exists()


def test_cannot_be_had_without_java_maven_or_repository(directory):
    """Each by its name and with the exit code that callers go by, and nothing left behind."""
    programs = directory / "programs-without"
    programs.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in pathlib.Path(folder).iterdir():
            if program.name not in ("java", "mvn") and not os.path.lexists(programs / program.name):
                (programs / program.name).symlink_to(program)
    how = {"PATH": str(programs), "XDG_CACHE_HOME": str(directory / "cache")}
    assert "no Java" in script("start", directory / "none", status=EX_UNAVAILABLE, **how)
    (programs / "java").symlink_to("/usr/bin/java")
    assert "no Maven" in script("start", directory / "none", status=EX_UNAVAILABLE, **how)
    (programs / "mvn").write_text("#!/bin/sh\necho '[ERROR] the repository is silent'\nexit 1\n")
    (programs / "mvn").chmod(0o755)
    assert "the repository is silent" in script("start", directory / "none", status=EX_UNAVAILABLE, **how)
    assert not (directory / "none").exists()
    assert not [path for path in (directory / "cache" / "anabranch").iterdir() if path.is_dir()]
    shutil.rmtree(programs)


def test_refuses_jars_that_are_not_the_pinned_ones(directory):
    """Whatever a repository serves: nothing of it is kept, and nothing of it runs."""
    programs = directory / "programs"
    programs.mkdir()
    (programs / "mvn").write_text('#!/bin/sh\nfor last; do :; done\nfor jar in broker tools; do echo evil > "${last#-DoutputDirectory=}/$jar-1.jar"; done\n')
    (programs / "mvn").chmod(0o755)
    (programs / "java").write_text("#!/bin/sh\n")
    (programs / "java").chmod(0o755)
    evil = subprocess.run(["sha256sum"], input="evil\n", text=True, capture_output=True).stdout.split()[0]
    jars = directory / "test-jars.txt"

    def fetch():
        return subprocess.run([FETCH, jars], text=True, capture_output=True, env={
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(directory / "fetched")})

    jars.write_text(f"# a comment\n{evil} org.example:broker:1\n{'0' * 64} org.example:tools:1\n")
    refused = fetch()
    assert refused.returncode == 1 and "tools-1.jar" in refused.stderr and "broker-1.jar" not in refused.stderr, refused
    assert not [path for path in (directory / "fetched" / "anabranch").iterdir() if path.is_dir()]

    jars.write_text(f"{evil} org.example:broker:1\n{evil} org.example:tools:1\n")
    fetched = fetch()
    assert fetched.returncode == 0, fetched
    # What somebody changed in the cache is fetched anew.
    kept = pathlib.Path(fetched.stdout.strip()) / "tools-1.jar"
    kept.write_text("worse\n")
    assert fetch().returncode == 0 and kept.read_text() == "evil\n"
    shutil.rmtree(programs)


# --- The broker -----------------------------------------------------------------------------------------------------


def test_readers_see_what_is_committed(kafka):
    kafka.create_topic("committed", partitions=2)
    producer = kafka.producer(transactional_id="committed", transaction_timeout_ms=60000)
    producer.init_transactions(30)
    for number, end in enumerate([producer.commit_transaction, producer.abort_transaction, None]):
        producer.begin_transaction()
        producer.produce("committed", str(number).encode(), partition=0, headers=[("number", str(number).encode())])
        assert producer.flush(30) == 0
        if end:
            end(30)

    assert [record.value for record in kafka.read("committed", settled=False)] == [b"0"]
    assert kafka.read("committed", settled=False)[0].header("number") == b"0"
    assert values(kafka, "committed", isolation="read_uncommitted") == [b"0", b"1", b"2"]
    # Each ended transaction left a record of its own; the open one is where committed readers stop.
    assert kafka.offsets("committed") == (0, 5)
    assert kafka.last_stable_offset("committed") == 4
    writer, = kafka.producers("committed")
    assert writer["CurrentTransactionStartOffset"] == "4", writer
    assert kafka.transactions()["committed"]["TransactionState"] == "Ongoing"
    assert "committed-0" in kafka.transaction("committed")["TopicPartitions"]

    with kafka.reader("committed") as reader:
        assert [record.value for record in reader.read(settled=False)] == [b"0"]
        producer.commit_transaction(30)
        assert [record.value for record in reader.read_until(len)] == [b"2"]
    assert values(kafka, "committed") == [b"0", b"2"]
    assert kafka.last_stable_offset("committed") == 6
    kafka.delete_topic("committed")
    assert "committed" not in kafka.topics()


def test_a_second_producer_fences_the_first(kafka):
    kafka.create_topic("fenced")
    first, second = (kafka.producer(transactional_id="fenced") for _ in range(2))
    first.init_transactions(30)
    first.begin_transaction()
    first.produce("fenced", b"first")
    assert first.flush(30) == 0
    second.init_transactions(30)
    assert error_code(first.commit_transaction, 30) in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
    second.begin_transaction()
    second.produce("fenced", b"second")
    second.commit_transaction(30)
    assert values(kafka, "fenced") == [b"second"]


def test_a_halted_broker_is_silent_and_goes_on(make_kafka):
    kafka = make_kafka()
    kafka.create_topic("t")
    kafka.halt()
    producer = kafka.producer(message_timeout_ms=1000)
    fates = []
    producer.produce("t", b"late", callback=lambda error, _: fates.append(error))
    producer.flush(10)
    assert [error.code() for error in fates] == [KafkaError._MSG_TIMED_OUT]
    assert "state=silent" in script("status", kafka.path)
    kafka.go_on()
    write(kafka, "t", b"on time")
    # What had gone out before the halt is carried out, though its writer has given it up.
    assert values(kafka, "t") in ([b"late", b"on time"], [b"on time"])


def test_an_earlier_copy_of_the_data_is_an_earlier_state(make_kafka):
    kafka = make_kafka()
    kafka.create_topic("t")
    write(kafka, "t", b"1")
    kafka.stop()
    shutil.copytree(kafka.data(), kafka.path / "copy")
    kafka.start()
    write(kafka, "t", b"2")
    kafka.stop()
    shutil.rmtree(kafka.data())
    (kafka.path / "copy").rename(kafka.data())
    kafka.start()
    assert values(kafka, "t") == [b"1"]


@needs(servers=3)
def test_three_nodes_keep_what_they_acknowledged(make_kafka):
    kafka = make_kafka(nodes=3)
    kafka.create_topic("t")
    first = kafka.await_leader("t")
    producer = kafka.producer(transactional_id="moves", acks="all")
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce("t", b"before")
    assert producer.flush(30) == 0
    kafka.kill(first)
    producer.produce("t", b"after")
    assert producer.flush(60) == 0
    producer.commit_transaction(60)
    assert kafka.await_leader("t", other_than=first)
    assert values(kafka, "t") == [b"before", b"after"]

    kafka.start(first)
    wait_until(lambda: first in kafka._admin.list_topics("t").topics["t"].partitions[0].isrs, "the node's return", 60)
    kafka.elect_preferred_leader("t")
    second = kafka._admin.list_topics("t").topics["t"].partitions[0].replicas[0]
    wait_until(lambda: kafka.leader("t") == second, "the first replica's lead")
    kafka.stop(second)
    assert kafka.await_leader("t", other_than=second)
    assert values(kafka, "t") == [b"before", b"after"]
