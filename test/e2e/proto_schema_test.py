"""A table's .proto reads what the decoder writes. Goal: rows of every built-in type come out as typed fields that hold
PostgreSQL's own values; readers with an older .proto read on after DDL; partitions with other column orders read like
their root. Method: protoc compiles what the extension prints, `protoc --decode` reads the bytes of the slot's rows."""

import pathlib
import re
import subprocess
import tempfile

from command_line_test import expect, run
from rig.topics import fields

ALL_TYPES = """
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE DOMAIN positive AS numeric(10,2);
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE everything (
      id int PRIMARY KEY, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, b bool, n numeric, money money, t text, v varchar(9),
      c char(4), name name, one "char", raw bytea, d date, at time, at_z timetz, ts timestamp, ts_z timestamptz, wait interval, bits bit(5),
      varied bit varying, id_4 uuid, j json, jb jsonb, x xml, inet inet, cidr cidr, mac macaddr, mac8 macaddr8, point point, line line,
      lseg lseg, box box, path path, polygon polygon, circle circle, ts_v tsvector, ts_q tsquery, r4 int4range, rn numrange, rts tsrange,
      rd daterange, m4 int4multirange, lsn pg_lsn, snapshot pg_snapshot, class regclass, feeling mood, price positive, two pair,
      ints int[], texts text[], nested int[][], moods mood[], xid8 xid8, tid tid);
"""
# Text, the field's type, and what SQL makes of the value for comparison; text fields compare as PostgreSQL prints them.
NUMBERS = {
    "d": "(d - '2000-01-01'::date)::text", "at": "(extract(epoch FROM at) * 1000000)::bigint::text",
    "ts": "(extract(epoch FROM ts - '2000-01-01') * 1000000)::bigint::text",
    "ts_z": "(extract(epoch FROM ts_z - '2000-01-01Z') * 1000000)::bigint::text",
    "class": "class::oid::text",  # names change
}
ROWS = [
    """1, -32768, 2147483647, -9223372036854775808, 4294967295, 'NaN', '-Infinity', true, 'NaN', -12.34, E'K\\u00e4se "\\\\ \\n', 'abc', 'ab', 'n', 'x',
       '\\x00ff5c22', '4713-01-01 BC', '24:00', '04:05:06.789+02', '294276-12-31 23:59:59.999999', '2026-11-21 06:07:30.185973+01', '1 mon -3 days 04:05:06.7',
       B'10101', B'1', '00112233-4455-6677-8899-aabbccddeeff', '{"a" : 1}', '{"b":[1,null]}', '<a/>', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03',
       '08:00:2b:01:02:03:04:05', '(1.5,-2)', '{1,2,3}', '[(0,0),(1,1)]', '((1,1),(0,0))', '((0,0),(1,1))', '((0,0),(1,1),(2,0))', '<(0,0),1>',
       'a:1 b:2', 'a & b', '[1,5)', '(,1.5]', 'empty', '[2020-01-01,)', '{[1,3),[5,7)}', '16/B374D848', '10:20:10,14', 'pg_class', 'glad', 12.50,
       '(1,"a b")', '{1,NULL,3}', '{"a b",NULL,"NULL",""}', '[0:1][1:2]={{1,2},{3,4}}', '{sad,glad}', '42', '(0,1)'""",
    "2, 0, 0, 0, 0, '-0', 5e-324, false, 0.00, 0, '', '', '', '', '', '', '2000-01-01', '00:00', '00:00Z', '2000-01-01', '2000-01-01Z', '0', B'00000', B''",
    "3",
]


def protoc(*arguments, given=b""):
    done = subprocess.run(["protoc", *arguments], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def decoded_rows(rig):
    """The new rows of what was committed since the last call, as the decoder wrote them."""
    frames = rig.sql("SELECT data FROM pg_logical_slot_get_binary_changes('rows', NULL, NULL, 'proto_version', '1', 'publication_names', 'rows')")
    rows = []
    for (frame,) in frames:
        for _, record in fields(bytes(frame)):
            for kind, body in fields(record):
                if kind in (3, 4):  # Insert, Update
                    rows.append(dict(fields(body)).get(2 if kind == 3 else 4, b""))
    return rows


def proto_of(rig, table):
    return rig.value("SELECT anabranch.proto_schema(%s)", (table,))


def read(proto, row, message=None, nested=None):
    """{field: text} as protoc shows the row, or a message within it."""
    package = re.search(r"^package (.*);", proto, re.M)[1]
    message = message or re.search(r"optional (\w+) after", proto)[1]
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "table.proto").write_text(proto)
        shown = protoc(f"--proto_path={directory}", f"--decode={package}.{message}", "table.proto", given=row)
    if nested:
        shown = re.search(rf"^{nested} {{\n(.*?)^}}", shown, re.M | re.S)[1]
    return dict(line.strip().split(": ", 1) for line in shown.splitlines())


def unquoted(text):
    """What a string of protobuf's text format says."""
    body = text[1:-1].encode()
    plain = re.sub(rb'\\([0-7]{3}|.)', lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else
                   {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(m[1], m[1]), body)
    return plain


def prepare(rig, *tables):
    rig.sql("SET synchronous_commit = on; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET xmlbinary = 'base64'")
    rig.sql("SET lc_monetary = 'C'")
    rig.sql(f"CREATE PUBLICATION rows FOR TABLE {', '.join(tables)} WITH (publish_via_partition_root)")
    rig.sql("SELECT pg_create_logical_replication_slot('rows', 'anabranch_decoder')")


def test_every_type_is_read(rig):
    rig.sql(ALL_TYPES)
    prepare(rig, "everything")
    for row in ROWS:
        rig.sql(f"INSERT INTO everything VALUES ({row})")
    proto = proto_of(rig, "everything")
    columns = [name for (name,) in rig.sql("SELECT attname FROM pg_attribute WHERE attrelid = 'everything'::regclass AND attnum > 0 ORDER BY attnum")]
    texts = ", ".join("array_to_string(ARRAY[%s], '')" % NUMBERS[c] if c in NUMBERS else f"format('%s', {c})" for c in columns).replace("%", "%%")
    compared = 0
    for number, bytes_of_row in enumerate(decoded_rows(rig), start=1):
        shown = read(proto, bytes_of_row)
        row = rig.sql(f"SELECT {texts}, {', '.join(f'{c} IS NULL' for c in columns)} FROM everything WHERE id = %s", (number,))[0]
        for column, text, is_null in zip(columns, row, row[len(columns):]):
            assert is_null == (column not in shown), f"row {number}: {column} is {shown.get(column)}"
            if is_null:
                continue
            found = shown[column]
            if column == "raw":
                assert unquoted(found) == bytes(rig.value("SELECT raw FROM everything WHERE id = %s", (number,)))
            elif column == "b":
                assert found == {"t": "true", "f": "false"}[text]
            elif column in ("f4", "f8"):
                assert float(found) == float(text) or (found == "nan" and text == "NaN"), f"{column}: {found} is not {text}"
            elif found.startswith('"'):
                assert unquoted(found).decode() == text, f"row {number}, {column}: {found} is not {text!r}"
            else:
                assert int(found) == int(text), f"row {number}, {column}: {found} is not {text}"
            compared += 1
    assert compared == len(columns) + 24 + 1, compared


def test_old_readers_read_on_after_ddl(rig):
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, name text, price int, note text)")
    rig.init()
    prepare(rig, "item")
    rig.create("per_price", "SELECT price, count(*) AS n FROM item GROUP BY price", ", prepare_sources => true")
    first = proto_of(rig, "item")
    rig.sql("ALTER TABLE item ADD COLUMN more bool")
    rig.sql("ALTER TABLE item RENAME COLUMN name TO title")
    rig.sql("ALTER TABLE item DROP COLUMN note")
    rig.sql("INSERT INTO item VALUES (1, 'x', 5, true)")
    (row,) = decoded_rows(rig)
    assert read(first, row) == {"id": "1", "name": '"x"', "price": "5", "5": "1"}
    second = proto_of(rig, "item")
    assert read(second, row) == {"id": "1", "title": '"x"', "price": "5", "more": "true"}
    assert "reserved 4;" in second
    # A retyped column is another message: nobody reads the new bytes as the old type by mistake.
    rig.sql("ALTER TABLE item ALTER COLUMN price TYPE text")
    third = proto_of(rig, "item")
    assert "message Item {" in second and "message ItemGeneration1 {" in third
    rig.sql("INSERT INTO item VALUES (2, 'y', 'five', NULL)")
    (row,) = decoded_rows(rig)
    assert read(third, row) == {"id": "2", "title": '"y"', "price": '"five"'}


def test_partitions_read_like_their_root(rig):
    rig.sql("""
        CREATE TABLE parted (id int, day date, amount int, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE early (gone int, note text, amount int, gone_too int, day date NOT NULL, id int NOT NULL);
        ALTER TABLE early DROP COLUMN gone, DROP COLUMN gone_too;
        ALTER TABLE parted ATTACH PARTITION early FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
        CREATE TABLE late PARTITION OF parted FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')""")
    prepare(rig, "parted")
    rig.sql("INSERT INTO parted VALUES (1, '2026-02-01', 10, 'a'), (2, '2026-08-01', 20, 'b')")
    proto = proto_of(rig, "parted")
    assert [read(proto, row) for row in decoded_rows(rig)] == [
        {"id": "1", "day": "9528", "amount": "10", "note": '"a"'}, {"id": "2", "day": "9709", "amount": "20", "note": '"b"'}]


def test_schema_prints_the_proto_and_nothing_else(rig):
    rig.sql('CREATE SCHEMA s; CREATE TABLE s."Order" (id int PRIMARY KEY)')
    assert run(rig, "schema", 's."Order"', status=0) == proto_of(rig, 's."Order"')
    expect(run(rig, "schema", "s.order", status=1), 'relation "s.order" does not exist', "write schema and table as in SQL")
    expect(run(rig, "schema", "nowhere.t", status=1), "nowhere", "write schema and table as in SQL")
    expect(run(rig, "schema", status=2), "TABLE")
    rig.sql("DROP EXTENSION anabranch")
    expect(run(rig, "schema", 's."Order"', status=1), "CREATE EXTENSION anabranch")
