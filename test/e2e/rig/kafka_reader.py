"""Reads topics from the beginning to their end, as committed or as written."""

import dataclasses
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

REQUEST_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple
    timestamp_ms: int

    def header(self, name):
        """Its value, of the last of that name; None where there is none."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


class Reader:
    """Assigned, not subscribed: no consumer group is involved. `isolation`: "read_committed" or "read_uncommitted".

    Each read() goes on where the one before ended.
    """

    def __init__(self, client, topics, isolation):
        client = {
            **client, "group.id": "rig", "enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "error",
            "enable.partition.eof": True, "fetch.wait.max.ms": 50}
        self._consumer = Consumer({**client, "isolation.level": isolation})
        self._writes = Consumer({**client, "isolation.level": "read_uncommitted"})
        self._partitions = [
            TopicPartition(topic, partition, OFFSET_BEGINNING)
            for topic in topics
            for partition in self._consumer.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic].partitions]
        assert len({partition.topic for partition in self._partitions}) == len(set(topics)), f"a topic of {topics} does not exist"
        self._consumer.assign(self._partitions)
        self._next = {(partition.topic, partition.partition): 0 for partition in self._partitions}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._consumer.close()
        self._writes.close()

    def read(self, settled=True, seconds=60):
        """The records from here to where each partition ends at the time of the call, each partition's in order.

        A commit is answered before its mark is in every partition, and until then committed records are not to be seen:
        unless `settled` is False, read() waits until no transaction is open in these partitions.
        """
        deadline = time.monotonic() + seconds
        ends = self._ends(settled, deadline)
        return list(self._records(lambda: all(self._next[at] >= end for at, end in ends.items()), deadline))

    def _ends(self, settled, deadline):
        written = {at: self._end(self._writes, at) for at in self._next}
        if not settled:
            return {at: self._end(self._consumer, at) for at in self._next}
        for at, end in written.items():
            while (readable := self._end(self._consumer, at)) < end:
                assert time.monotonic() < deadline, f"an open transaction ends reading of {at} at {readable}; {end} are written"
                time.sleep(0.05)
        return written

    @staticmethod
    def _end(consumer, at):
        """A partition that has just been made may not have its leader yet."""
        deadline = time.monotonic() + REQUEST_SECONDS
        while True:
            try:
                return consumer.get_watermark_offsets(TopicPartition(*at), timeout=REQUEST_SECONDS)[1]
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def read_until(self, enough, seconds=60):
        """Records until enough(records so far) is true; AssertionError with their number when it is not in time."""
        records = []
        for record in self._records(lambda: enough(records), time.monotonic() + seconds):
            records.append(record)
        return records

    def _records(self, done, deadline):
        count = 0
        while not done():
            assert time.monotonic() < deadline, f"not read in time: {count} records, next offsets {self._next}"
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            at = message.topic(), message.partition()
            if message.error():
                # Control records are no messages: only the end of a partition tells that the reader is past them.
                if message.error().code() != KafkaError._PARTITION_EOF:
                    if message.error().fatal() or not message.error().retriable() and at[0] is not None:
                        raise KafkaException(message.error())
                    continue
                self._next[at] = max(self._next[at], message.offset())
                continue
            self._next[at] = message.offset() + 1
            count += 1
            yield Record(at[0], at[1], message.offset(), message.key(), message.value(), tuple(message.headers() or ()), message.timestamp()[1])
