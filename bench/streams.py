"""The two ways from a database to Kafka that bench/publish compares, and what it sends through them.

A stream can be started and stopped, again and again; it knows the topic of a table and what CPU time it takes. Markers are rows
whose text a reader of the topic finds again.
"""
import multiprocessing
import pathlib
import re
import subprocess
import time
import urllib.request

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from common import ROOT, cpu_seconds

PATIENCE_SECONDS = 900
# Rows of "item" have about 200 bytes, as stored, without their header. What compresses well is not in them.
TABLES = """CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL, amount numeric(12, 2) NOT NULL,
                               created timestamptz NOT NULL DEFAULT now(), note text NOT NULL);
            CREATE TABLE mark (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL)"""
ROW = "(random() * 100000)::int, round(random()::numeric * 1000, 2), md5(random()::text) || md5(random()::text) || md5(random()::text) || md5(random()::text) || md5(random()::text)"
INSERT = f"INSERT INTO item (customer, amount, note) SELECT {ROW} FROM generate_series(1, {{rows}})"


def wait_until(condition, what, seconds=PATIENCE_SECONDS, pause=0.005):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(pause)


class Stream:
    """What both have in common. `slot`: the replication slot it reads."""

    def __init__(self, rig, slot):
        self.rig, self.slot = rig, slot

    def walsender(self):
        """Process id; None while nobody reads the slot."""
        return self.rig.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (self.slot,))

    def wait_reading(self):
        wait_until(self.walsender, f"a reader of {self.slot}", 120)
        return time.monotonic()

    def cpu(self):
        """(seconds of the process, of its walsender)."""
        walsender = self.walsender()
        return cpu_seconds(self.pid()), cpu_seconds(walsender) if walsender else 0


class Anabranch(Stream):
    """`without_transactions`: the library that takes them out of the program, for comparison; None: as it is."""
    name = "anabranch"

    def __init__(self, rig, kafka, partitions, without_transactions=None):
        super().__init__(rig, "anabranch_app")
        self.prefix = f"bench_{pathlib.Path(rig.log_path).name.partition('.')[0]}"
        self.config = pathlib.Path(f"{rig.log_path}.toml")
        self.config.write_text(f'log = "kafka"\n[kafka]\nbrokers = "{kafka.bootstrap}"\nprefix = "{self.prefix}"\npartitions = {partitions}\n')
        rig.command("-c", str(self.config), "init")
        rig.sql("ALTER PUBLICATION anabranch ADD TABLE item, mark")
        rig.sidecar.arguments = ["-c", str(self.config), "--only", "publish"]
        if without_transactions is not None:
            self.name = "without transactions"
            rig.sidecar.environment["LD_PRELOAD"] = str(without_transactions)
            rig.sidecar.environment["WITHOUT_TRANSACTIONS_MARKS"] = f"{rig.log_path}.marks"

    def start(self):
        self.rig.sidecar.start()

    def stop(self):
        self.rig.sidecar.stop()
        wait_until(lambda: not self.walsender(), "the end of the walsender", 30)

    def warm_cpu(self):
        """CPU seconds of a process that a stopped stream leaves running."""
        return 0

    def pid(self):
        return self.rig.sidecar.process.pid

    def topic(self, table):
        return f"{self.prefix}.public.{table}"

    def audit(self):
        """The last line of "anabranch audit"."""
        return self.rig.command("audit", "-c", str(self.config), seconds=300).stdout.strip().splitlines()[-1]


class Debezium(Stream):
    """Its worker runs from the first start to the end, so that Java stays warm; stop() stops the connector in it. With
    `copies_tables` it begins with the rows that exist, and nobody waits for that here."""
    name = "Debezium"
    _starting = None

    def __init__(self, rig, kafka, partitions, exactly_once=False, copies_tables=False):
        self.prefix = "debezium_once" if exactly_once else "debezium"
        super().__init__(rig, self.prefix)
        if exactly_once:
            self.name = "Debezium, exactly once"
        self.directory = pathlib.Path(rig.directory, self.prefix)
        command = self._command("start", "--name", self.prefix, "--bootstrap", kafka.bootstrap, "--tables", "public.item,public.mark", "--database",
                                f"host=127.0.0.1,port={rig.cluster.port},user=postgres,dbname={rig.dbname}",
                                "--property", f"topic.creation.default.partitions={partitions}", *["--exactly-once"] * exactly_once)
        if copies_tables:
            self._starting = subprocess.Popen([*command, "--property", "snapshot.mode=initial"], stdout=subprocess.DEVNULL)
            wait_until((self.directory / "pid").exists, "the connector's process", 120)
            self._pid = int((self.directory / "pid").read_text())
        else:
            self._pid = int(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
        listener = re.search(r"^listeners=(.*)", (self.directory / "worker.properties").read_text(), re.M)[1]
        self._url = f"{listener}/connectors/{self.prefix}"

    def _command(self, command, *arguments):
        return [ROOT / "bench" / "peers" / "debezium.sh", command, self.directory, *arguments]

    def _put(self, state):
        with urllib.request.urlopen(urllib.request.Request(f"{self._url}/{state}", method="PUT"), timeout=60):
            pass

    def start(self):
        self._put("resume")

    def warm_cpu(self):
        return cpu_seconds(self._pid)

    def stop(self):
        self._put("stop")
        wait_until(lambda: not self.walsender(), "the end of the connector's walsender", 60)

    def end(self):
        if self._starting is not None:
            self._starting.terminate()
            self._starting.wait()
        subprocess.run(self._command("destroy"), check=True)

    def pid(self):
        return self._pid

    def topic(self, table):
        return f"{self.prefix}.public.{table}"


# --- What is sent ---------------------------------------------------------------------------------------------------


def make_tables(rig):
    rig.sql(TABLES)


def write_rows(rig, rows, rows_per_transaction):
    """Inserts them by one session, as fast as that goes."""
    if rows > 0:
        rig.sql(f"""DO $$ BEGIN
            FOR i IN 1 .. {rows // rows_per_transaction} LOOP
              {INSERT.format(rows=rows_per_transaction)};
              COMMIT;
            END LOOP;
          END $$""")


def mark(rig, text, table="mark"):
    """Commits a marker; the moment after the commit."""
    if table == "mark":
        rig.sql("INSERT INTO mark (note) VALUES (%s)", (f"<marker {text}>",))
    else:
        rig.sql("INSERT INTO item (customer, amount, note) VALUES (0, 0, %s)", (f"<marker {text}>" + "x" * 150,))
    return time.monotonic()


class Load:
    """pgbench inserting rows at a rate, in transactions of ten, until stop()."""
    ROWS_PER_TRANSACTION = 10

    def __init__(self, rig, rows_per_second):
        script = pathlib.Path(rig.directory, "load.sql")
        script.write_text(INSERT.format(rows=self.ROWS_PER_TRANSACTION) + ";\n")
        pgbench = pathlib.Path(rig.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'"), "pgbench")
        self.rig, self._before, self._began = rig, self._written(rig), time.monotonic()
        self._process = subprocess.Popen([pgbench, "-n", "-M", "prepared", "-c", "4", "-R", str(rows_per_second // self.ROWS_PER_TRANSACTION),
                                          "-T", "3600", "-f", script],
                                         env={**rig.sidecar.environment, "LD_PRELOAD": ""}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @staticmethod
    def _written(rig):
        return rig.value("SELECT last_value FROM item_id_seq")

    def stop(self):
        """Ends it; rows a second since the start."""
        rate = (self._written(self.rig) - self._before) / (time.monotonic() - self._began)
        self._process.terminate()
        self._process.wait(30)
        return rate


# --- What is received -----------------------------------------------------------------------------------------------


def consumer_of(bootstrap, topics, isolation="read_committed", from_end=True):
    """A consumer of all partitions of the topics, from where they end now or from their beginnings. It is back soon after a broker is,
    and not up to librdkafka's ten seconds later."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": isolation, "enable.auto.commit": False,
                         "auto.offset.reset": "error", "reconnect.backoff.max.ms": 250, "log_level": 0})
    consumer.assign([TopicPartition(topic, partition, end if from_end else OFFSET_BEGINNING)
                     for topic in topics for partition, end in ends(consumer, topic).items()])
    return consumer


def ends(consumer, topic):
    """{partition: where what `consumer` may read of it, by its isolation, ends}"""
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    return {partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)[1] for partition in partitions}


def _receive(bootstrap, topics, from_end, pipe):
    consumer = consumer_of(bootstrap, topics, from_end=from_end)
    pipe.send(None)
    while True:
        message = consumer.poll(1)
        if message is None or message.error():
            continue
        value = message.value()
        at = value.find(b"<marker ") if value else -1
        if at >= 0:
            pipe.send((value[at + 8:value.index(b">", at)].decode(), time.monotonic()))


class Receiver:
    """A process that reads topics, read_committed, every record, and tells when each marker has come."""

    def __init__(self, bootstrap, *topics, from_end=True):
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_receive, args=(bootstrap, topics, from_end, theirs), daemon=True)
        self._process.start()
        if not self._pipe.poll(60):
            raise TimeoutError("the reader of the topics does not start")
        self._pipe.recv()
        self.received = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join(10)

    def take(self, seconds=0.0):
        """Waits for something to come; the dictionary {marker: moment} of all that came."""
        if self._pipe.poll(seconds):
            while self._pipe.poll(0):
                text, moment = self._pipe.recv()
                self.received.setdefault(text, moment)
        return self.received

    def wait_for(self, text, seconds=PATIENCE_SECONDS):
        """The moment at which the marker came."""
        deadline = time.monotonic() + seconds
        while text not in self.take(0.5):
            if time.monotonic() > deadline:
                raise TimeoutError(f"marker {text} has not come within {seconds} s")
        return self.received[text]
