"""A broker that asks for passwords, shows certificates and grants rights lets in whom it should and nobody else: what tests
of wrong credentials stand on. Method: librdkafka itself, which the sidecar is built on."""

import time

from confluent_kafka import KafkaError, KafkaException, Producer

from rig.kafka_security import Security


def error_of(client, topic="t"):
    """What the client hears: the first error that names a reason, or None when its record was taken."""
    heard = []
    producer = Producer({**client, "message.timeout.ms": 50000, "error_cb": lambda error: heard.append(error.code())})
    producer.produce(topic, b"v", callback=lambda error, _: heard.append(error.code() if error else None))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        producer.poll(0.1)
        for code in heard:
            if code not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                return code
    return "nothing"


def test_lets_in_whom_it_should(directory, make_kafka):
    security = Security(directory)
    kafka = make_kafka(**security.options)
    kafka.create_topic("t")
    assert error_of(security.client(kafka, "SASL")) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    security.grant(kafka, "--operation", "Write", "--operation", "Describe", "--topic", "t")
    security.add_scram_user(kafka)

    assert error_of(security.client(kafka, "SASL")) is None
    assert error_of(security.client(kafka, "SASL", sasl_mechanism="SCRAM-SHA-256")) is None
    assert error_of(security.client(kafka, "SECURE", sasl_mechanism="SCRAM-SHA-256")) is None
    for listener in ("SASL", "SECURE"):
        assert error_of(security.client(kafka, listener, sasl_password="wrong")) == KafkaError._AUTHENTICATION
        assert error_of(security.client(kafka, listener, sasl_mechanism="SCRAM-SHA-256", sasl_password="wrong")) == KafkaError._AUTHENTICATION
    assert error_of(security.client(kafka, "SECURE", ssl_ca_location=str(security.other_ca))) == KafkaError._SSL
    # Without a name nobody is asked for one: the certificate lets anybody in, who is then nobody with any right but ours.
    assert error_of(security.client(kafka, "TLS")) is None
    assert error_of(security.client(kafka, "TLS", ssl_ca_location=str(security.other_ca))) == KafkaError._SSL
    assert len(kafka.read("t")) == 4

    try:
        transactional = Producer({**security.client(kafka, "SASL", transactional_id="t"), "error_cb": lambda _: None})
        transactional.init_transactions(60)
        raise AssertionError("no right to that transactional id")
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, error
