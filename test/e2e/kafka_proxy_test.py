"""The proxy between a client and its brokers does to chosen requests what it says, and to others nothing. Method: producers
that know nothing of it, and what the topics hold afterwards, read past it."""

import time

from confluent_kafka import KafkaError, KafkaException, Producer

from rig import needs


def producer_through(kafka, **properties):
    return Producer(kafka.client(bootstrap_servers=kafka.proxy.bootstrap, **properties))


def transactional(kafka, name, **properties):
    producer = producer_through(kafka, transactional_id=name, **properties)
    producer.init_transactions(60)
    return producer


def write(producer, topic, value):
    producer.begin_transaction()
    producer.produce(topic, value)
    assert producer.flush(60) == 0


def values(kafka, topic, **how):
    return [record.value for record in kafka.read(topic, **how)]


def test_everything_goes_through_the_proxy(make_kafka):
    kafka = make_kafka(proxied=True)
    kafka.create_topic("t")
    producer = transactional(kafka, "t")
    write(producer, "t", b"1")
    producer.commit_transaction(60)
    assert values(kafka, "t") == [b"1"]
    for api in ("Metadata", "FindCoordinator", "InitProducerId", "AddPartitionsToTxn", "Produce", "EndTxn"):
        assert kafka.proxy.count(api) >= 1, api
    assert [broker.port for broker in producer.list_topics().brokers.values()] == [int(kafka.proxy.bootstrap.split(":")[1])]

    # --- an answer that is lost: what was asked has happened
    cut = kafka.proxy.cut("EndTxn", answer=True)
    write(producer, "t", b"2")
    producer.commit_transaction(60)
    assert cut.met == 1
    assert values(kafka, "t") == [b"1", b"2"]

    # --- a request that is lost
    cut = kafka.proxy.cut("Produce")
    write(producer, "t", b"3")
    producer.commit_transaction(60)
    assert cut.met == 1
    assert values(kafka, "t") == [b"1", b"2", b"3"]

    # --- one that is swallowed, until its client loses patience
    producer = transactional(kafka, "swallowed", socket_timeout_ms=2000, transaction_timeout_ms=60000, message_timeout_ms=60000)
    dropped = kafka.proxy.drop("AddPartitionsToTxn")
    began = time.monotonic()
    write(producer, "t", b"4")
    producer.commit_transaction(60)
    assert dropped.met == 1 and time.monotonic() - began >= 1
    assert values(kafka, "t")[-1] == b"4"

    # --- delays
    delay = kafka.proxy.delay("Produce", seconds=0.7, times=1)
    began = time.monotonic()
    write(producer, "t", b"5")
    assert time.monotonic() - began >= 0.7 and delay.met == 1
    producer.commit_transaction(60)

    # --- the whole link
    write(producer, "t", b"6")
    kafka.proxy.cut_all()
    producer.commit_transaction(60)
    with kafka.proxy.away():
        producer.begin_transaction()
        producer.produce("t", b"7")
        assert producer.flush(1) == 1
    assert producer.flush(60) == 0
    producer.commit_transaction(60)
    with kafka.proxy.black_hole():
        producer.begin_transaction()
        producer.produce("t", b"8")
        assert producer.flush(1) == 1
    assert producer.flush(60) == 0
    producer.commit_transaction(60)
    assert values(kafka, "t") == [b"%d" % number for number in range(1, 9)]


def test_a_held_commit_arrives_after_its_client_has_gone(make_kafka):
    """The danger that a new producer after each doubt is there for: a commit that was long under way ends the transaction
    that the same producer has meanwhile begun. The proxy must be able to bring it about, or nothing is proven with it."""
    kafka = make_kafka(proxied=True)
    kafka.create_topic("t")
    producer = transactional(kafka, "t", socket_timeout_ms=2000)
    held = kafka.proxy.hold("EndTxn")
    write(producer, "t", b"1")
    # The first EndTxn is held, its client hangs up after two seconds and sends another.
    producer.commit_transaction(60)
    assert held.met == 1 and kafka.proxy.count("EndTxn") >= 2
    assert values(kafka, "t") == [b"1"]

    write(producer, "t", b"torn")
    assert values(kafka, "t", settled=False) == [b"1"]
    held.release()
    assert values(kafka, "t") == [b"1", b"torn"], "the commit that was held has ended nothing"

    # A new producer has another epoch: the same commit, held again, is refused.
    held = kafka.proxy.hold("EndTxn")
    producer = transactional(kafka, "t", socket_timeout_ms=2000)
    write(producer, "t", b"2")
    producer.commit_transaction(60)
    producer = transactional(kafka, "t")
    write(producer, "t", b"whole")
    held.release()
    time.sleep(1)
    assert values(kafka, "t", settled=False) == [b"1", b"torn", b"2"]
    try:
        producer.abort_transaction(60)
    except KafkaException as error:
        assert error.args[0].code() != KafkaError._FENCED, error


@needs(servers=3)
def test_three_nodes_are_each_behind_the_proxy(make_kafka):
    kafka = make_kafka(nodes=3, proxied=True)
    kafka.create_topic("t", partitions=3)
    producer = transactional(kafka, "t")
    producer.begin_transaction()
    for partition in range(3):
        producer.produce("t", b"%d" % partition, partition=partition)
    assert producer.flush(60) == 0
    producer.commit_transaction(60)
    assert len(kafka.proxy.bootstrap.split(",")) == 3
    assert sorted(values(kafka, "t")) == [b"0", b"1", b"2"]
    assert kafka.proxy.count("Produce") >= 3
