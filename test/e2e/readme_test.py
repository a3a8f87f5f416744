"""What the README shows is what happens: its SQL is run as it stands there, in its order."""

import pathlib
import re

from rig import social

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
TABLES = social.SCHEMA.replace("    ALTER TABLE tweets REPLICA IDENTITY FULL;\n", "").replace(
    "    ALTER TABLE likes REPLICA IDENTITY FULL;\n", "") + """
    CREATE TABLE orders (order_id bigint PRIMARY KEY, customer_id int, total numeric, note text);
    INSERT INTO orders SELECT i, i % 10, i * 1.5 FROM generate_series(1, 100) AS i;
"""


def statements(text):
    """Of each block ```sql: its statements. Dollar-quoted bodies stay whole."""
    for block in re.findall(r"```sql\n(.*?)```", text, re.S):
        block = re.sub(r"^\s*--.*$", "", block, flags=re.M)
        yield [part.strip() for part in re.findall(r"(?:\$\$.*?\$\$|[^;])+", block, re.S) if part.strip()]


def test_sql_of_the_readme(rig):
    text = README.read_text()
    define, use = statements(text)
    rig.sql(TABLES)
    assert define[0] == "CREATE EXTENSION anabranch"  # the rig has run it
    rig.init()
    rig.sidecar.start()
    for statement in define[1:-1]:
        rig.sql(statement)
    rig.wait_live("user_activity")
    shown = text[text.index(define[-1]):].split("```")[2].splitlines()
    columns = rig.value("SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'user_activity'::regclass")
    assert columns == [name.strip() for name in shown[1].split("|")], columns
    rows = rig.sql(define[-1])
    assert len(rows) == 1 and rows[0][0] == 42 and all(count > 0 for count in rows[0][1:4]), rows
    for statement in use:
        rig.sql(statement)
    assert rig.value("SELECT count(*) > 1 FROM pg_index WHERE indrelid = (SELECT state FROM anabranch.definition WHERE copy = 'user_activity'::regclass)")
    rig.expect_current({"user_activity": social.USER_ACTIVITY, "orders_of_customer": "SELECT customer_id, order_id, total FROM orders"})
    rig.sidecar.stop()
