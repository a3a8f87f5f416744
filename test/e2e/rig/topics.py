"""Reads a source's topics as any program could, by what topic.proto promises, and checks every promise on the way.

Shares no code with the product: protobuf's wire format is read by hand here.
"""

import dataclasses
import re

OPERATIONS = {1: "c", 2: "u", 3: "d", 4: "t", 5: "r"}
MESSAGE = re.compile(r"message: transactional: (\d) prefix: ([^,]*), sz: \d+ content:(.*)", re.S)


def fields(message):
    """(number, value) of a protobuf message: int for varints and fixed widths, bytes otherwise."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            assert at + size <= len(message), "a message breaks off"
            yield tag >> 3, message[at:at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[tag & 7]
            yield tag >> 3, int.from_bytes(message[at:at + size], "little")
            at += size


def one(message, number, default=0):
    return next((value for found, value in fields(message) if found == number), default)


def crc32c(data, state=0):
    state ^= 0xFFFFFFFF
    for byte in data:
        state = CRC[(state ^ byte) & 255] ^ state >> 8
    return state ^ 0xFFFFFFFF


def _crc_table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


CRC = list(_crc_table())


def lsn(number):
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def row(message):
    """A row of integer and text columns as {attribute number: value}."""
    return {number: value.decode() if isinstance(value, bytes) else value >> 1 ^ -(value & 1) for number, value in fields(message)}


@dataclasses.dataclass
class Unit:
    xid: int
    end: int
    parts: int
    gap: bool
    position: bool
    changes: list  # (operation, topic, before, after), by number; rows as {attribute number: value}; messages as ("m", topic, key, value)
    content: bool = False  # rows that existed: no unit of the chain
    records: int = 0


def read_units(kafka, prefix, seconds=60, content=False):
    """Every unit of the topic of transactions, put together; AssertionError where a promise does not hold. `content`: with
    the parts of rows that existed, where they stand."""
    found = [topic for topic in kafka.topics() if topic.startswith(f"{prefix}.")]
    own = {f"{prefix}.transaction", f"{prefix}.relation", f"{prefix}.progress"}
    parts = kafka.read(f"{prefix}.transaction", seconds=seconds)
    data = {}
    for topic in set(found) - own:
        for record in kafka.read(topic, seconds=seconds):
            data.setdefault((topic, record.partition), {})[record.offset] = record
    relations = {record.key: record.value for record in kafka.read(f"{prefix}.relation", seconds=seconds)}
    units, previous, named, numbers_at = [], 0, 0, {}
    for place, record in enumerate(parts):
        part = list(fields(record.value))
        values = {number: value for number, value in part if number not in (12, 13)}
        spans = [value for number, value in part if number == 12]
        begin, end, gap, read = values.get(7, 0), values.get(8, 0), values.get(15, 0), values.get(16, 0)
        position = not (values.get(9, 0) or spans or read)
        within = bool(units) and not units[-1].position and not units[-1].closed
        assert values[14] == 1
        assert values.get(2, 0) == previous, f"the chain breaks at offset {record.offset}: {lsn(values.get(2, 0))} after {lsn(previous)}"
        assert place > 0 or position, "the first record is where publishing begins"
        if read:
            assert not within and not (begin or end or gap) and values[1] == previous and values.get(4, 0) == 0
            assert values.get(11, 0) == numbers_at.get(previous, 0) + 1, "the numbers go on at a position"
            units.append(Unit(0, previous, 0, False, False, [], content=True))
        elif not within:
            units.append(Unit(values.get(4, 0), values[1], 0, bool(gap), position, []))
        unit = units[-1]
        assert unit.end == values[1] and unit.xid == values.get(4, 0)
        if not position and not read:
            unit.parts += 1
            assert values[9] == unit.parts and bool(begin) == (unit.parts == 1)
        changes = {}
        for span in spans:
            topic, partition = one(span, 1, b"").decode(), one(span, 2)
            first, last, count, crc = one(span, 3), one(span, 4), one(span, 5), one(span, 6)
            records = [data.get((topic, partition), {}).get(offset) for offset in range(first, last + 1)]
            assert all(records) and len(records) == count, f"{topic}/{partition} lacks records of {first} to {last}"
            assert crc32c(b"".join(r.value for r in records)) == crc, "the checksum of a span"
            named += count
            numbers = [int(r.header("number")) for r in records]
            assert numbers == sorted(numbers)
            begun = b""
            for r, number in zip(records, numbers):
                assert r.header("lsn").decode() == lsn(unit.end) and int(r.header("xid")) == unit.xid
                value = begun + r.value
                slice_at, _, slices = (r.header("fragment") or b"1/1").partition(b"/")
                begun = value if slice_at != slices else b""
                if begun:
                    continue
                if r.header("op") == b"m":
                    assert r.header("relation") is None and number not in changes
                    changes[number] = ("m", topic, r.key, value)
                    continue
                fingerprint = bytes.fromhex(r.header("relation").decode())
                assert fingerprint in relations, "the table is not described"
                operation = OPERATIONS[one(value, 1)]
                assert operation == r.header("op").decode()
                assert (operation == "r") == bool(read)
                change = (operation, topic, row(one(value, 3, b"")), row(one(value, 4, b"")))
                if operation == "t":  # in every partition of every table concerned
                    before = changes.get(number, ("t", "", {}, {}))[1].split()
                    change = ("t", " ".join(sorted({*before, topic})), {}, {})
                else:
                    assert number not in changes, "a number twice"
                changes[number] = change
        assert len(changes) == values.get(10, 0)
        first_number = values.get(11, 0)
        assert sorted(changes) == list(range(first_number, first_number + len(changes)))
        if changes:
            numbers_at[unit.end] = max(changes)
        assert read or first_number in (0, len(unit.changes) + 1)
        unit.changes += [changes[number] for number in sorted(changes)]
        unit.closed = bool(end or read)
        if read:
            continue
        if position or end:
            assert gap or unit.end >= previous
            previous = unit.end
    assert not units or units[-1].position or units[-1].closed, "a transaction without its end"
    assert named == sum(map(len, data.values())), "records that no part names"
    return units if content else [unit for unit in units if not unit.content]


def apply_records(records):
    """What a reader of one table's topic from its beginning ends with: {key: row}, rows as {attribute number: bytes or int}.

    Of a large value that an update left alone it keeps what it has; that it has it is asserted. Records of one key are in
    one partition, in order; a truncate stands in each.
    """
    table = {}
    for record in records:
        operation = OPERATIONS[one(record.value, 1)]
        if operation == "t":
            table = {key: (partition, row) for key, (partition, row) in table.items() if partition != record.partition}
        elif operation == "d":
            table.pop(record.key, None)
        else:
            now = dict(fields(one(record.value, 4, b"")))
            unchanged = [number for found, value in fields(record.value) if found == 5
                         for number in (varints(value) if isinstance(value, bytes) else [value])]
            _, before = table.get(record.key, (0, {}))
            for number in unchanged:
                now[number] = before.get(number, MISSING)
            table[record.key] = record.partition, now
    for key, (_, values) in table.items():
        assert MISSING not in values.values(), f"a value of the row with key {key.hex()} is in no record"
    return {key: values for key, (_, values) in table.items()}


MISSING = object()


def varints(data):
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


class Oracle:
    """What PostgreSQL's own test_decoding makes of the same WAL: a slot, made before publishing begins."""

    def __init__(self, rig, name="oracle"):
        self.rig, self.name = rig, name
        rig.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (name,))

    def transactions(self, tables, prefixes=()):
        """[[(operation, table, before, after)]] of the committed transactions that touch the tables; {table: [column]}.
        Messages with these prefixes, and keys behind them, as ("m", prefix, key, content); those outside of transactions are
        units of their own. Their contents have to be text here."""
        done, changes = [], []
        lines = self.rig.sql("SELECT data FROM pg_logical_slot_peek_changes(%s, NULL, NULL, 'include-xids', 'off')", (self.name,))
        for (line,) in lines:
            message = MESSAGE.match(line)
            if message:
                prefix, colon, key = message[2].partition(":")
                change = ("m", prefix, key.encode() if colon else None, message[3].encode())
                if prefix in prefixes:
                    (changes.append if message[1] == "1" else lambda one: done.append([one]))(change)
            elif line == "BEGIN":
                changes = []
            elif line == "COMMIT":
                if changes:
                    done.append(changes)
            else:
                truncate = re.match(r"table (.*): TRUNCATE: ", line)
                if truncate:
                    names = sorted(name.rpartition(".")[2] for name in truncate[1].split(", "))
                    names = [name for name in names if name in tables]  # the copies' own are not
                    changes += [("t", " ".join(names), {}, {})] if names else []
                    continue
                match = re.match(r'table (?:\w+)\."?(\w+)"?: (INSERT|UPDATE|DELETE): ?(.*)', line, re.S)
                if match and match[1] in tables:
                    changes += self._change(match[2], match[1], match[3], tables[match[1]])
        return done

    @staticmethod
    def _change(operation, table, text, columns):
        def values(text):
            found = {}
            for name, _, value in re.findall(r'(\w+)\[([^\]]+)\]:(null|\'(?:[^\']|\'\')*\'|[^ ]+)', text):
                if value == "null":
                    continue
                found[columns.index(name) + 1] = value[1:-1].replace("''", "'") if value[0] == "'" else int(value)
            return found

        if operation == "INSERT":
            return [("c", table, {}, values(text))]
        if operation == "DELETE":
            return [("d", table, values(text), {})]
        if not text.startswith("old-key: "):
            return [("u", table, {}, values(text))]
        before, after = text[len("old-key: "):].split(" new-tuple: ")
        return [("d", table, values(before), {}), ("c", table, {}, values(after))]


def expect_published(kafka, prefix, oracle, tables, prefixes=()):
    """Everything that PostgreSQL committed, once, whole, in order, and nothing else; returns the units."""
    units = read_units(kafka, prefix)
    expected = oracle.transactions(tables, prefixes)
    found = []
    for unit in units:
        changes = []
        for operation, topics, before, after in unit.changes:
            names = " ".join(topic.rpartition(".")[2] for topic in topics.split() if topic.rpartition(".")[2] in (prefixes if operation == "m" else tables))
            if names:
                changes.append((operation, names, before, after))
        if changes:
            found.append(changes)
    for place, (mine, theirs) in enumerate(zip(found, expected)):
        assert mine == theirs, f"transaction {place} of {len(expected)}:\npublished {mine[:5]}\ncommitted {theirs[:5]}"
    assert len(found) == len(expected), f"{len(found)} transactions are published, {len(expected)} were committed"
    return units
