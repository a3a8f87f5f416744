"""The walk-through of docs/operations.md, "Changing a column under a copy", with the statements that stand there and no others.

Method: the old application writes while the column is added, backfilled and compared, readers read all the time and must see neither an
error nor a copy without rows; the new application writes while the old column goes. In between and at the end the copy is equal to its
definition.
"""

import pathlib
import re

from rebuild_test import readers
from rig import needs

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md"
SCHEMA = """
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL, amount numeric(12,2));
    ALTER TABLE orders REPLICA IDENTITY FULL;
    INSERT INTO orders (customer, amount) SELECT i % 50, i * 0.37 FROM generate_series(1, 5000) AS i;
"""
SALES = "SELECT customer, count(*) AS orders, sum(amount) AS total FROM orders GROUP BY customer"
OLD_APPLICATION = """
\\set c random(0, 49)
\\set i random(1, 5000)
INSERT INTO orders (customer, amount) VALUES (:c, :i * 0.01);
UPDATE orders SET amount = amount + 0.05 WHERE id = :i;
DELETE FROM orders WHERE id = :i + 5000;
\\sleep 5 ms
"""
NEW_APPLICATION = OLD_APPLICATION.replace("(customer, amount) VALUES (:c, :i * 0.01)", "(customer, cents) VALUES (:c, :i)").replace(
    "SET amount = amount + 0.05", "SET cents = cents + 5")


def steps():
    """The statements of each numbered step."""
    section = PAGE.read_text().partition("### Changing a column under a copy\n")[2].partition("\n## ")[0]
    for step in re.split(r"^\d\. ", section, flags=re.M)[1:]:
        yield [part.strip() for block in re.findall(r"```sql\n(.*?)```", step, re.S)
               for part in re.findall(r"(?:\$\$.*?\$\$|[^;])+", block, re.S) if part.strip()]


@needs(seconds=60)
def test_as_documented(rig):
    expand, backfill, beside, compare, swap, contract = steps()
    assert f"`{SALES}`" in PAGE.read_text()
    rig.sql(SCHEMA)
    rig.init()
    rig.create("sales", SALES)
    rig.sidecar.start()
    rig.wait_live("sales")
    with readers(rig, "SELECT count(*), bool_and(total IS NOT NULL) FROM sales", lambda seen: seen[0] == (50, True)) as took:
        with rig.load(OLD_APPLICATION):
            for statement in expand:
                rig.sql(statement)
            backfilled = 0
            while True:
                with rig.connection.cursor() as cursor:
                    cursor.execute(backfill[0])
                    if cursor.rowcount == 0:
                        break
                    backfilled += cursor.rowcount
            assert backfilled > 0, "the statement backfills"
            assert rig.value("SELECT count(*) FROM orders WHERE cents IS DISTINCT FROM amount * 100") == 0
            assert rig.state("sales")[0] == "live", rig.state("sales")
            rig.sql(beside[0])
            new_query = re.search(r"'(SELECT.*?)', swap", beside[0], re.S).group(1)
            verdict, examples = compare
            rig.wait_until(lambda: rig.sql(verdict)[0][0] not in ("queued", "running"), "the comparison")
            assert rig.sql(verdict) == [("done", 0, None)], rig.sql(verdict)
            assert rig.sql(examples) == []
            rig.sql(swap[0])
            rig.wait_until(lambda: rig.value("SELECT query = %s FROM anabranch.definition WHERE copy = 'sales'::regclass", (new_query,)), "the swap")
        rig.expect_current({"sales": new_query})
        # The same, swapped back and again.
        for query in [SALES, new_query]:
            rig.sql("SELECT anabranch.swap_back('sales')")
            rig.wait_until(lambda wanted=query: rig.value("SELECT query = %s FROM anabranch.definition WHERE copy = 'sales'::regclass", (wanted,)), "the swap back")
            rig.expect_current({"sales": query})
        for statement in contract[:3]:
            rig.sql(statement)
        with rig.load(NEW_APPLICATION):
            rig.sql(contract[3])
            rig.wait_fresh("sales")
        assert len(contract) == 4
    print(f"{len(took)} reads, the longest {1000 * max(took):.0f} ms")
    rig.expect_current({"sales": new_query})
    assert rig.value("SELECT state FROM anabranch.copies") == "live"
    rig.sidecar.stop()
