"""What others read from the topics. Goal: each format's records, read by somebody else's decoder, are PostgreSQL's rows; a
schema registry that is away, comes back or refuses is waited for or named. Method: a real broker, a real registry,
Avro's own library for Python, protoc, and JSON."""

import base64
import io
import json
import struct
import time
import warnings

import avro.io
import avro.schema

from proto_schema_test import read as read_row
from rig.settings import write_settings

warnings.filterwarnings("ignore", "Unknown local-timestamp-micros")  # it reads a long then, as the specification says

TABLE = """
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE item (id bigint PRIMARY KEY, name text, price numeric(10,2), raw bytea, seen timestamptz, day date, at time, stamp timestamp,
                       ratio float8, ok bool, feeling mood, words text[], doc jsonb);
    ALTER TABLE item REPLICA IDENTITY FULL"""
ROW = r"""(1, E'K\u00e4se "\n', 12.50, '\x00ff', '2026-11-21 06:07:30.185973+00', '2026-11-21', '06:07:30.5', '1999-12-31 23:59:59.5', 'NaN', true, 'glad',
          '{"a b",NULL}', '{"b": [1, null]}')"""


class Formatted:
    """A table with a column of each sort, published in the format that the settings name."""

    def __init__(self, rig, kafka, tables="", **settings):
        self.rig, self.kafka = rig, kafka
        self.prefix = f"f{time.monotonic_ns()}"
        self.topic = f"{self.prefix}.public.item"
        config = rig.directory / f"{self.prefix}.toml"
        write_settings(config, kafka.bootstrap, self.prefix, partitions=1, tables=tables, **{key: f'"{value}"' for key, value in settings.items()})
        rig.sql(TABLE)
        rig.command("-c", str(config), "init")
        rig.sql("ALTER PUBLICATION anabranch ADD TABLE item")
        rig.sidecar.arguments = ["-c", str(config), "--only", "publish"]

    def records(self, count):
        """All records of the table's topic, when there are as many."""
        found = []

        def complete():
            nonlocal found
            if self.topic not in self.kafka.topics():
                return False
            with self.kafka.reader(self.topic) as reader:
                found = reader.read()
            return len(found) >= count
        self.rig.wait_until(complete, f"{count} records in {self.topic}")
        assert len(found) == count, [record.value for record in found]
        return found


def framed(message):
    """(number of the schema, the rest)"""
    zero, number = struct.unpack(">bI", message[:5])
    assert zero == 0
    return number, message[5:]


def read_avro(registry, message):
    number, body = framed(message)
    kind, text = registry.schema(number)
    assert kind == "AVRO"
    schema = avro.schema.parse(text)
    return avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(body)))


def change(rig):
    rig.sql(f"INSERT INTO item VALUES {ROW}")
    rig.sql("UPDATE item SET name = NULL")
    rig.sql("UPDATE item SET id = 2")
    rig.sql("DELETE FROM item")


def test_debezium_json_is_what_its_readers_expect(rig, kafka):
    published = Formatted(rig, kafka, format="debezium-json")
    rig.sidecar.start()
    change(rig)
    records = published.records(5)
    values = [json.loads(record.value) for record in records]
    assert [json.loads(record.key) for record in records] == [{"id": 1}, {"id": 1}, {"id": 1}, {"id": 2}, {"id": 2}]
    assert [value["op"] for value in values] == ["c", "u", "d", "c", "d"]
    assert [record.header("op") for record in records] == [b"c", b"u", b"d", b"c", b"d"]
    row = {"id": 1, "name": 'Käse "\n', "price": "12.50", "raw": base64.b64encode(b"\0\xff").decode(), "seen": "2026-11-21T06:07:30.185973Z",
           "day": "2026-11-21", "at": "06:07:30.5", "stamp": "1999-12-31T23:59:59.5", "ratio": "NaN", "ok": True, "feeling": "glad",
           "words": ["a b", None], "doc": '{"b": [1, null]}'}
    assert values[0]["before"] is None and values[0]["after"] == row, values[0]
    assert values[1]["before"] == row and values[1]["after"] == {**row, "name": None}
    assert values[4]["before"] == {**row, "id": 2, "name": None} and values[4]["after"] is None
    source = values[0]["source"]
    assert (source["connector"], source["db"], source["schema"], source["table"], source["name"]) == ("postgresql", rig.dbname, "public", "item", published.prefix)
    assert [value["transaction"]["total_order"] for value in values] == [1, 1, 1, 2, 1]
    order = [tuple(map(int, json.loads(value["source"]["sequence"]))) for value in values]
    assert order == sorted(order)
    rig.sidecar.stop()


def test_avro_is_read_by_the_schemas_in_the_registry(rig, kafka, schema_registry):
    published = Formatted(rig, kafka, format="avro", schema_registry=schema_registry.url)
    rig.sidecar.start()
    change(rig)
    records = published.records(5)
    values = [read_avro(schema_registry, record.value) for record in records]
    assert [read_avro(schema_registry, record.key) for record in records] == [{"id": n} for n in (1, 1, 1, 2, 2)]
    assert [value["op"] for value in values] == ["c", "u", "d", "c", "d"]
    row = values[0]["after"]
    assert (row["id"], row["name"], row["price"], row["raw"], row["ok"], row["feeling"], row["words"]) == (
        1, 'Käse "\n', "12.50", b"\0\xff", True, "glad", '{"a b",NULL}')
    assert row["seen"].isoformat() == "2026-11-21T06:07:30.185973+00:00" and row["day"].isoformat() == "2026-11-21", row
    assert row["stamp"] == 946684799500000 and row["ratio"] != row["ratio"]
    assert values[1]["before"] == {**row, "ratio": values[1]["before"]["ratio"]} and values[1]["after"]["name"] is None
    assert values[4]["after"] is None and values[0]["source"]["table"] == "item"
    # A new column is a new schema, which readers of the old one understand.
    schema_registry.request(f"/config/{published.topic}-value", {"compatibility": "FULL"}, "PUT")
    rig.sql("ALTER TABLE item ADD COLUMN more int")
    rig.sql(f"INSERT INTO item VALUES {ROW[:-1]}, 7)")
    added = published.records(6)[5]
    assert framed(added.value)[0] != framed(records[0].value)[0] and framed(added.key)[0] == framed(records[0].key)[0]
    assert read_avro(schema_registry, added.value)["after"]["more"] == 7
    # A retyped one is refused, by the subject's name; nothing is lost, and it goes on when it is allowed.
    rig.sql("ALTER TABLE item ALTER COLUMN more TYPE text")
    rig.sql("UPDATE item SET more = 'seven'")
    assert rig.sidecar.wait(60) not in (0, None)
    assert f'"{published.topic}-value" as incompatible' in rig.sidecar.log(), rig.sidecar.log_tail()
    schema_registry.request(f"/config/{published.topic}-value", {"compatibility": "NONE"}, "PUT")
    rig.sidecar.start()
    assert read_avro(schema_registry, published.records(7)[6].value)["after"]["more"] == "seven"
    rig.sidecar.stop()


def test_protobuf_stands_in_the_registry_with_its_table_s_proto(rig, kafka, schema_registry):
    published = Formatted(rig, kafka, schema_registry=schema_registry.url)
    rig.sidecar.start()
    rig.sql(f"INSERT INTO item VALUES {ROW}")
    record, = published.records(1)
    number, body = framed(record.value)
    kind, proto = schema_registry.schema(number)
    assert kind == "PROTOBUF" and body[0] == 0, "the record is the first message of the file"
    assert proto == rig.value("SELECT anabranch.proto_schema('item')")
    shown = read_row(proto, body[1:], "Change", nested="after")
    assert shown["id"] == "1" and shown["price"] == '"12.50"' and shown["seen"] == "848556450185973", shown
    number, body = framed(record.key)
    assert read_row(schema_registry.schema(number)[1], body[1:], "Key") == {"id": "1"}
    rig.sidecar.stop()


def test_a_registry_that_is_away_is_waited_for(rig, kafka, make_schema_registry):
    schema_registry = make_schema_registry()
    published = Formatted(rig, kafka, format="avro", schema_registry=schema_registry.url)
    schema_registry.kill()
    rig.sidecar.start()
    change(rig)
    rig.wait_until(lambda: "schema registry" in rig.sidecar.log() and "does not answer" in rig.sidecar.log(), "a word about the registry")
    time.sleep(2)
    assert rig.sidecar.running(), rig.sidecar.log_tail()
    schema_registry.start()
    values = [read_avro(schema_registry, record.value) for record in published.records(5)]
    assert [value["op"] for value in values] == ["c", "u", "d", "c", "d"]
    rig.sidecar.stop()


def test_rows_that_existed_read_like_others(make_rig, kafka, schema_registry):
    for name, settings in (("debezium-json", {}), ("avro", {"schema_registry": schema_registry.url})):
        with make_rig(f"-{name[:4]}") as rig:
            published = Formatted(rig, kafka, format=name, **settings)
            rig.sidecar.start()
            rig.sql(f"INSERT INTO item VALUES {ROW}, (2{', NULL' * 12})")
            published.records(2)
            rig.sql("SELECT anabranch.republish('public.item')")
            records = published.records(4)
            inserted, existed = records[:2], records[2:]
            assert [record.header("op") for record in records] == [b"c", b"c", b"r", b"r"]
            assert [record.key for record in existed] == [record.key for record in inserted]
            values = [read_avro(schema_registry, record.value) if settings else json.loads(record.value) for record in records]
            for old, new in zip(values[2:], values[:2]):
                assert (old["op"], old["before"], old["source"]["snapshot"], new["source"]["snapshot"]) == ("r", None, "true", "false"), old
                assert str(old["after"]) == str(new["after"]), "as text, since NaN is not NaN"
                assert all(old["source"][field] == new["source"][field] for field in ("connector", "name", "db", "schema", "table"))
            order = [tuple(map(int, json.loads(value["source"]["sequence"]))) for value in values]
            assert order == sorted(set(order)), "what was read sorts after what was written before"
            rig.sidecar.stop()


def test_a_compacted_topic_has_the_latest_row_of_each_key(rig, kafka):
    published = Formatted(rig, kafka, '[kafka.table."public.item"]\nlatest = true\n', format="debezium-json")
    rig.sidecar.start()
    rig.sql("INSERT INTO item (id, name) SELECT n, 'a' FROM generate_series(1, 20) AS n")
    rig.sql("UPDATE item SET name = 'b' WHERE id % 2 = 0")
    rig.sql("DELETE FROM item WHERE id % 5 = 0")
    rig.sql("UPDATE item SET id = 100 WHERE id = 1")
    published.records(20 + 10 + 4 + 2)
    topic = f"{published.topic}.latest"
    with kafka.reader(topic) as reader:
        records = reader.read()
    assert len(records) == 36, "every change of a row, as none is compacted yet"
    latest = {record.key: record.value for record in records}
    rows = {key: json.loads(value) for key, value in latest.items() if value is not None}
    assert all(json.loads(key)["id"] == row["id"] for key, row in rows.items())
    assert sorted((row["id"], row["name"]) for row in rows.values()) == rig.sql("SELECT id, name FROM item ORDER BY id")
    assert {json.loads(key)["id"] for key, value in latest.items() if value is None} == {1, 5, 10, 15, 20}, "tombstones"
    # What a compacted topic cannot say stops publishing, by name.
    rig.sql("TRUNCATE item")
    assert rig.sidecar.wait(60) not in (0, None)
    assert "public.item was truncated" in rig.sidecar.log() and "latest = false" in rig.sidecar.log(), rig.sidecar.log_tail()
