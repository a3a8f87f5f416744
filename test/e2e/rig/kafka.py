"""A Kafka cluster of a test's own; a face for scripts/kafka.sh, and what tests ask a broker."""

import os
import pathlib
import re
import signal
import subprocess

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from rig.kafka_reader import Reader
from rig.script import SCRIPTS, run
from rig.waiting import wait_until

SCRIPT = SCRIPTS / "kafka.sh"
# The quick compiler alone: a start costs half, and no test lives long enough for the other one.
ENVIRONMENT = {"KAFKA_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1", **os.environ}
REQUEST_SECONDS = 30


class Kafka:
    """Made and started by the constructor; waits until it answers. `destroy()` kills and removes it; removing `directory`
    by scripts/cluster.sh does, too.

    `properties`: {name: value} of the brokers. `listeners`: {name: "PROTOCOL" or "PROTOCOL@PORT,..."}, as scripts/kafka.sh
    has them.
    """

    def __init__(self, directory, name="kafka", nodes=1, properties=None, listeners=None):
        self.path = pathlib.Path(directory, name).resolve()
        self.nodes = list(range(1, nodes + 1))
        options = ["--nodes", str(nodes)]
        for key, value in (properties or {}).items():
            options += ["--property", f"{key}={value}"]
        for key, value in (listeners or {}).items():
            options += ["--listener", f"{key}={value}"]
        self._script("start", *options)
        self.bootstrap = self.bootstrap_of("CLIENT")
        self._admin_client = None

    def _script(self, command, *arguments):
        return run(SCRIPT, command, self.path, *arguments, env=ENVIRONMENT)

    # --- Nodes: all of them, or those given -----------------------------------------------------------------------

    def start(self, *nodes):
        self._script("start", *nodes)

    def stop(self, *nodes):
        """Cleanly: leaders move first, where there is someone to move to."""
        self._script("stop", *nodes)

    def kill(self, *nodes):
        """kill -9."""
        self._script("kill", *nodes)

    def restart(self, *nodes):
        self._script("restart", *nodes)

    def halt(self, *nodes):
        """SIGSTOP: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP, nodes)

    def go_on(self, *nodes):
        self._signal(signal.SIGCONT, nodes)

    def _signal(self, number, nodes):
        for node in nodes or self.nodes:
            subprocess.run(["kill", f"-{number.value}", str(self.pid(node))], check=True)

    def pid(self, node=1):
        return int((self.path / f"node-{node}" / "pid").read_text())

    def data(self, node=1):
        """The directory of a node's log, for tests that put an earlier copy in its place while it is stopped."""
        return self.path / f"node-{node}" / "data"

    def destroy(self):
        self._script("destroy")

    def log(self, node=1):
        return (self.path / f"node-{node}" / "log").read_text(errors="replace")

    def bootstrap_of(self, listener):
        return self._script("bootstrap", listener).strip()

    def listener_port(self, listener, node=1):
        """Where the node itself listens, whatever address it gives to clients."""
        properties = (self.path / f"node-{node}" / "server.properties").read_text()
        return int(re.search(rf"^listeners=.*\b{listener}://127\.0\.0\.1:(\d+)", properties, re.M)[1])

    def tool(self, name, *arguments):
        """One of Kafka's own tools; its output. Seconds of a Java start each."""
        return self._script("tool", name, *arguments)

    # --- Topics ---------------------------------------------------------------------------------------------------

    @property
    def _admin(self):
        if self._admin_client is None:
            self._admin_client = AdminClient(self.client())
        return self._admin_client

    def client(self, **properties):
        """Properties of a client, "." as "_" in the names of those given. Silent: what matters is raised."""
        return {"bootstrap.servers": self.bootstrap, "log_level": 0, **{key.replace("_", "."): value for key, value in properties.items()}}

    def create_topic(self, name, partitions=1, replication=None, **config):
        """Waits until every partition has a leader."""
        topic = NewTopic(name, partitions, len(self.nodes) if replication is None else replication,
                         config={key.replace("_", "."): str(value) for key, value in config.items()})
        self._admin.create_topics([topic], operation_timeout=REQUEST_SECONDS)[name].result(REQUEST_SECONDS)
        wait_until(lambda: all(self.leader(name, partition) is not None for partition in range(partitions)), f"leaders of {name}", REQUEST_SECONDS)

    def delete_topic(self, name):
        """Waits until it is gone."""
        self._admin.delete_topics([name], operation_timeout=REQUEST_SECONDS)[name].result(REQUEST_SECONDS)
        wait_until(lambda: name not in self.topics(), f"the end of topic {name}", REQUEST_SECONDS)

    def topics(self):
        """{name: number of partitions}, without Kafka's own."""
        found = self._admin.list_topics(timeout=REQUEST_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in found.items() if not name.startswith("__")}

    def leader(self, topic, partition=0):
        """The node; None while there is none that the node knows of that is asked. With several nodes, any of them may be
        asked, and may not have heard yet: see `await_leader`."""
        described = self._admin.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic].partitions.get(partition)
        return described.leader if described is not None and described.leader >= 0 else None

    def await_leader(self, topic, other_than=None):
        """The node that leads partition 0, as soon as one is told that is not `other_than`."""
        leader = None

        def is_told():
            nonlocal leader
            leader = self.leader(topic)
            return leader not in (None, other_than)

        wait_until(is_told, f"a leader of {topic}", 60)
        return leader

    def elect_preferred_leader(self, topic, partition=0):
        """Moves the leader back to the first replica."""
        self.tool("LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", partition)

    # --- Offsets and transactions ---------------------------------------------------------------------------------

    def offsets(self, topic, partition=0):
        """(first offset, high watermark)."""
        return self._watermarks(topic, partition, "read_uncommitted")

    def last_stable_offset(self, topic, partition=0):
        """Where readers of committed records end: the first offset of the earliest open transaction, or the high watermark."""
        return self._watermarks(topic, partition, "read_committed")[1]

    def _watermarks(self, topic, partition, isolation):
        consumer = Consumer(self.client(group_id="rig", isolation_level=isolation))
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_SECONDS)
        finally:
            consumer.close()

    def producers(self, topic, partition=0):
        """[{"ProducerId": ..., "ProducerEpoch": ..., "CurrentTransactionStartOffset": ...}] of a partition's writers."""
        return _table(self.tool("TransactionsCommand", "describe-producers", "--topic", topic, "--partition", partition))

    def transactions(self):
        """{transactional id: {"ProducerId": ..., "TransactionState": ...}}"""
        return {row["TransactionalId"]: row for row in _table(self.tool("TransactionsCommand", "list"))}

    def transaction(self, transactional_id):
        """{"ProducerEpoch": ..., "TransactionState": ..., "TransactionTimeoutMs": ..., "TopicPartitions": ...}"""
        return _table(self.tool("TransactionsCommand", "describe", "--transactional-id", transactional_id))[0]

    # --- Records --------------------------------------------------------------------------------------------------

    def producer(self, **properties):
        return Producer(self.client(**properties))

    def reader(self, *topics, isolation="read_committed", bootstrap=None):
        """All partitions of the topics, from their first offsets on."""
        return Reader(self.client(**({"bootstrap_servers": bootstrap} if bootstrap else {})), topics, isolation)

    def read(self, *topics, isolation="read_committed", **how):
        """Every record of the topics up to their present end."""
        with self.reader(*topics, isolation=isolation) as reader:
            return reader.read(**how)


def _table(text):
    """Rows of what Kafka's tools print: a line of names, then lines of values, separated by tabs."""
    lines = [[cell.strip() for cell in line.split("\t")] for line in text.splitlines() if line.strip()]
    return [dict(zip(lines[0], line)) for line in lines[1:]]

