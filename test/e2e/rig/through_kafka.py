"""A database whose changes go through Kafka: the settings file of it, and the two halves of a sidecar."""

import pathlib

from rig import social
from rig.settings import write_settings


class ThroughKafka:
    """`rig` with `kafka` between its tables and its copies. `rig.sidecar` runs both halves in one process; `publisher` and
    `applier` are processes of one half each."""

    def __init__(self, rig, kafka, prefix=None, **kafka_settings):
        self.rig, self.kafka = rig, kafka
        self.prefix = prefix or f"t{abs(hash(str(rig.directory) + rig.log_path.name)) % 10**9}"
        self.path = pathlib.Path(f"{rig.log_path}.toml")
        write_settings(self.path, kafka.bootstrap, self.prefix, properties={"reconnect.backoff.max.ms": 500}, **kafka_settings)
        rig.sidecar.arguments = ["-c", str(self.path)]
        self.publisher = rig.another_sidecar()
        self.publisher.arguments = ["--only", "publish", *rig.sidecar.arguments]
        self.applier = rig.another_sidecar()
        self.applier.arguments = ["--only", "apply", *rig.sidecar.arguments]

    def prepare(self, copies=None):
        social.prepare(self.rig, copies)

    def topic(self, name):
        return f"{self.prefix}.{name}"

    def audit(self, status=0):
        """What "anabranch audit" prints; its exit code has to be `status`."""
        done = self.rig.command("audit", "-c", str(self.path), check=False, seconds=120)
        assert done.returncode == status, f"audit: exit code {done.returncode}, not {status}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def delete_records(self, topic, partition, before):
        """What retention does, at once."""
        request = pathlib.Path(f"{self.path}.json")
        request.write_text('{"version": 1, "partitions": [{"topic": "%s", "partition": %d, "offset": %d}]}' % (topic, partition, before))
        self.kafka.tool("DeleteRecordsCommand", "--offset-json-file", str(request))

    def confirmed(self):
        """Of the slot, as the number of bytes from 0/0."""
        return int(self.rig.value("SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = 'anabranch_app'"))

    def applied(self):
        return int(self.rig.value("SELECT lsn - '0/0' FROM anabranch.source"))
