"""What publishing is asked to do and cannot: each is refused with a reason and a remedy, by `run` and, before anything runs, by
`check`; nothing is lost meanwhile, and it goes on once the mistake is mended. Method: the real publisher against real brokers
that ask for passwords, certificates and rights; against a proxy that answers as an old broker; and against topics that
somebody else has written to."""

import re

from rig import needs
from rig.kafka_security import PASSWORD, Security
from rig.publishing import Published


def check(published, *words, status=1):
    """`anabranch check` says so: problem and remedy, in whatever lines."""
    done = published.rig.command("-c", str(published.config), "check", check=False)
    said = re.sub(r"\s+", " ", done.stdout)
    for word in words:
        assert word in said, f"{word!r} is not in:\n{done.stdout}{done.stderr}"
    assert done.returncode == status, f"check: exit code {done.returncode}:\n{done.stdout}"
    return said


def goes_on(published):
    """After the mistake is mended: what was written meanwhile is there."""
    published.rig.sidecar.start()
    published.expect_exact()
    published.rig.sidecar.stop()


def test_brokers_that_do_not_answer(rig, kafka):
    published = Published(rig, kafka, brokers="127.0.0.1:1")
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    check(published, "do not answer", "correct kafka.brokers")
    rig.sidecar.start()
    rig.wait_until(lambda: "Kafka does not answer, waiting for it" in rig.sidecar.log(), "word of it")
    assert rig.sidecar.running(), "brokers may come back"
    rig.sidecar.stop()
    published.brokers = kafka.bootstrap
    published.configure()
    check(published, "answer; cluster", "has not begun", status=0)
    goes_on(published)
    check(published, "reach to", status=0)
    rig.sidecar.start()
    rig.wait_until(lambda: rig.value("SELECT running FROM anabranch.publishers"), "its sign of life")
    shown = rig.command("status", check=False).stdout
    assert f"publishing: topics {published.prefix}.*" in shown and "behind" in shown, shown
    rig.sidecar.stop()


@needs(seconds=40)
def test_credentials_certificates_and_rights(rig, make_kafka, directory):
    security = Security(directory)
    kafka = make_kafka(**security.options)
    security.add_scram_user(kafka)
    right = {"sasl.username": security.user, "sasl.password": PASSWORD}
    ca = {"ssl.ca.location": str(security.ca)}
    published = Published(rig, kafka)
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    listeners = {"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "SECURE": "SASL_SSL"}

    def use(listener, properties):
        published.brokers = kafka.bootstrap_of(listener)
        published.properties = {"security.protocol": listeners[listener], **properties}
        published.configure()

    def refused(*words):
        check(published, *words)
        rig.sidecar.start()
        published.expect_stop("refused", status=1)
        for word in words:
            assert word in rig.sidecar.log(), f"{word!r} is not in:\n{rig.sidecar.log_tail()}"
        assert PASSWORD not in rig.sidecar.log()

    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        use("SASL", {**right, "sasl.mechanism": mechanism, "sasl.password": "wrong"})
        refused("sasl.username and sasl.password")
    use("SASL", {**right, "sasl.mechanism": "SCRAM-SHA-512"})
    refused("sasl.mechanism")
    use("TLS", {"ssl.ca.location": str(security.other_ca)})
    refused("certificate", "ssl.ca.location")

    # The right password, and no rights.
    use("SECURE", {**right, **ca, "sasl.mechanism": "SCRAM-SHA-256"})
    refused("grant")
    own_topics = [word for topic in ("progress", "transaction", "relation") for word in ("--topic", f"{published.prefix}.{topic}")]
    security.grant(kafka, "--operation", "All", "--transactional-id", "anabranch-", *own_topics, "--resource-pattern-type", "prefixed")
    rig.sidecar.start()
    published.expect_stop("refused", status=1)
    assert f"{published.prefix}.public.item" in rig.sidecar.log() and "grant" in rig.sidecar.log(), rig.sidecar.log_tail()
    security.grant(kafka, "--operation", "All", "--topic", f"{published.prefix}.", "--resource-pattern-type", "prefixed")
    check(published, "transactions may be written", status=0)
    goes_on(published)
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        use("SASL", {**right, "sasl.mechanism": mechanism})
        rig.sql("INSERT INTO item SELECT max(id) + 1, 1, 'x' FROM item")
        goes_on(published)


def test_brokers_that_are_too_old(rig, make_kafka):
    kafka = make_kafka(proxied=True)
    published = Published(rig, kafka, brokers=kafka.proxy.bootstrap)
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    old = kafka.proxy.pretend_old()
    check(published, "too old", "0.11")
    rig.sidecar.start()
    published.expect_stop("refused", status=1)
    assert "too old" in rig.sidecar.log(), rig.sidecar.log_tail()
    old.end()
    goes_on(published)


def test_another_cluster(rig, kafka, make_kafka):
    published = Published(rig, kafka)
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    goes_on(published)
    other = make_kafka()
    published.brokers = other.bootstrap
    published.configure()
    check(published, "stops (progress_lost)", "kafka.brokers")
    rig.sidecar.start()
    published.expect_stop("progress_lost")
    # Its topics copied as they are, the records say where they were written.
    for topic, partitions in kafka.topics().items():
        if topic.startswith(published.prefix):
            other.create_topic(topic, partitions, cleanup_policy="compact" if topic.endswith((".progress", ".relation")) else "delete")
            producer = other.producer()
            for record in kafka.read(topic):
                producer.produce(topic, record.value, record.key, record.partition, headers=list(record.headers))
            producer.flush(30)
    check(published, "stops (other_cluster)", "kafka.brokers")
    rig.sidecar.start()
    published.expect_stop("other_cluster", status=1)
    published.brokers = kafka.bootstrap
    published.configure()
    rig.sql("INSERT INTO item VALUES (2, 1, 'x')")
    goes_on(published)


def test_records_that_the_broker_does_not_take(rig, make_kafka):
    """Our own limit parks or cuts; a broker's that is lower is found out, and nothing is skipped."""
    kafka = make_kafka(properties={"message.max.bytes": 100_000})
    published = Published(rig, kafka)
    rig.sidecar.start()
    rig.sql("INSERT INTO item SELECT 1, 1, string_agg(md5(i::text), '') FROM generate_series(1, 10000) AS i")
    published.expect_stop("too_large", status=1)
    assert "message.max.bytes" in rig.sidecar.log() and "public.item" in rig.sidecar.log(), rig.sidecar.log_tail()
    assert kafka.read(f"{published.prefix}.public.item") == []
    published.properties = {"message.max.bytes": "90000"}
    published.configure(oversize='"fragment"')
    rig.sidecar.start()
    published.wait_published()
    records = kafka.read(f"{published.prefix}.public.item")
    assert len(records) > 3 and all(record.header("fragment") for record in records)
    rig.sidecar.stop()


def test_tables_without_a_key(rig, kafka):
    published = Published(rig, kafka)
    rig.sql("CREATE TABLE keyless (x int); ALTER TABLE keyless REPLICA IDENTITY FULL; ALTER PUBLICATION anabranch ADD TABLE keyless; INSERT INTO keyless VALUES (1)")
    check(published, "neither a primary key nor a replica identity", "keyless_tables")
    rig.sidecar.start()
    published.expect_stop("keyless", status=1)
    assert "full_row" in rig.sidecar.log()
    published.configure(keyless_tables='"full_row"')
    check(published, status=0)
    rig.sidecar.start()
    rig.sql("UPDATE keyless SET x = 2")
    published.expect_exact()
    assert [record.header("op") for record in kafka.read(f"{published.prefix}.public.keyless")].count(b"d") == 1
    rig.sidecar.stop()


def test_tables_whose_topics_would_be_one(rig, kafka):
    """By our own rule for names, or by Kafka's, to which . and _ are one; the remedy is a topic chosen for one of the two."""
    published = Published(rig, kafka)
    rig.sql("""CREATE SCHEMA "a.b"; CREATE SCHEMA a; CREATE TABLE "a.b".c (id int PRIMARY KEY); CREATE TABLE a."b.c" (id int PRIMARY KEY);
               CREATE TABLE "x y" (id int PRIMARY KEY); CREATE TABLE "x_x20y" (id int PRIMARY KEY);
               CREATE TABLE u (id int PRIMARY KEY); CREATE SCHEMA public_v; CREATE TABLE public_v.w (id int PRIMARY KEY); CREATE TABLE v_w (id int PRIMARY KEY);
               ALTER PUBLICATION anabranch ADD TABLE "a.b".c, a."b.c", "x y", "x_x20y", public_v.w, v_w""")
    said = check(published, "would share the topic", "[kafka.table.'")
    assert said.count("would share the topic") == 2 and said.count("Kafka takes . and _ for one") == 1, said
    chosen = ""
    for first, second, reason in (('"a.b".c', 'a."b.c"', "would share the topic"), ('public."x y"', "public.x_x20y", "would share the topic"),
                                  ("public.v_w", "public_v.w", "collides")):
        rig.sql(f"INSERT INTO {first} VALUES (1)")
        rig.sql(f"INSERT INTO {second} VALUES (1)")
        rig.sidecar.start()
        published.expect_stop("refused", status=1)
        assert reason in rig.sidecar.log() and "[kafka.table." in rig.sidecar.log(), rig.sidecar.log_tail()
        chosen += f"[kafka.table.'{second}']\ntopic = 'chosen_{len(chosen)}'\n"
        published.configure()
        published.config.write_text(published.config.read_text() + chosen)
        rig.sidecar.start()
        published.wait_published()
        rig.sidecar.stop()
    check(published, "publishing the topics", status=0)
    assert sum(len(kafka.read(topic)) for topic in kafka.topics() if topic.startswith(f"{published.prefix}.chosen_")) == 3


def test_a_topic_of_somebody_else(rig, kafka):
    """One that is there before us with other records; one that others write to between ours; one with the wrong policy."""
    published = Published(rig, kafka)
    topic = f"{published.prefix}.public.item"
    kafka.create_topic(topic, 3)
    stranger = kafka.producer()
    stranger.produce(topic, b"not ours", partition=1)
    assert stranger.flush(30) == 0
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    rig.sidecar.start()
    published.expect_stop("topic_shared", status=1)
    assert topic in rig.sidecar.log() and "kafka.prefix" in rig.sidecar.log(), rig.sidecar.log_tail()
    kafka.delete_topic(topic)
    goes_on(published)

    stranger.produce(topic, b"between", partition=1)
    assert stranger.flush(30) == 0
    rig.sql("INSERT INTO item SELECT g, 1, 'x' FROM generate_series(2, 30) AS g")
    rig.sidecar.start()
    published.wait_published()
    rig.sidecar.stop()
    done = rig.command("-c", str(published.config), "audit", check=False)
    assert done.returncode == 1 and "belongs to no transaction" in done.stdout and topic in done.stdout, done.stdout

    tag = f"{published.prefix}.public.tag"
    kafka.create_topic(tag, 3, cleanup_policy="compact")
    rig.sql("INSERT INTO tag VALUES (1, 'x')")
    rig.sidecar.start()
    published.expect_stop("refused", status=1)
    assert tag in rig.sidecar.log() and "cleanup.policy" in rig.sidecar.log()


def test_a_table_made_anew(rig, kafka):
    """With the same columns at the same numbers it goes on in its topic; with others readers would take one for the other."""
    published = Published(rig, kafka)
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    goes_on(published)
    rig.sql("DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, n int, note text); ALTER PUBLICATION anabranch ADD TABLE item; "
            "INSERT INTO item VALUES (1, 2, 'anew')")
    goes_on(published)
    rig.sql("DROP TABLE item; CREATE TABLE item (note text, id int PRIMARY KEY); ALTER PUBLICATION anabranch ADD TABLE item; "
            "INSERT INTO item VALUES ('moved', 3)")
    rig.sidecar.start()
    published.expect_stop("renumbered", status=1)
    assert "anabranch adopt" in rig.sidecar.log() and f"{published.prefix}.public.item" in rig.sidecar.log()
    assert len(kafka.read(f"{published.prefix}.public.item")) == 2
    said = rig.command("-c", str(published.config), "adopt").stdout
    assert "nothing is missing" in said, said
    rig.sidecar.start()
    published.wait_published()
    assert len(kafka.read(f"{published.prefix}.public.item")) == 3
    rig.sidecar.stop()

    # The same, the topic deleted after its readers were through.
    rig.sql("DROP TABLE item; CREATE TABLE item (other int PRIMARY KEY); ALTER PUBLICATION anabranch ADD TABLE item; INSERT INTO item VALUES (4)")
    rig.sidecar.start()
    published.expect_stop("renumbered", status=1)
    kafka.delete_topic(f"{published.prefix}.public.item")
    rig.command("-c", str(published.config), "adopt")
    rig.sidecar.start()
    published.wait_published()
    assert len(kafka.read(f"{published.prefix}.public.item")) == 1
    rig.sidecar.stop()


def test_topics_that_may_not_be_created(rig, kafka):
    published = Published(rig, kafka, create_topics="false")
    rig.sql("INSERT INTO item VALUES (1, 1, 'x')")
    check(published, "missing", "create_topics")
    rig.sidecar.start()
    published.expect_stop("refused", status=1)
    assert "--partitions 1" in rig.sidecar.log() and "cleanup.policy=delete" in rig.sidecar.log(), rig.sidecar.log_tail()
    published.configure()
    goes_on(published)
