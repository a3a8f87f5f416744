"""Sources change under load. What can go on goes on, and is exact; what cannot is `stale` with the reason while every other copy goes
on, and anabranch.rebuild, or anabranch.alter_aggregate_table where the query no longer fits, brings it back beside what is read.

Method: two copies over tables that writers change all the time, one of which the command concerns. Afterwards each is equal to its
definition as PostgreSQL computes it.
"""

import contextlib

from rig import needs

SCHEMA = """
    CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind int NOT NULL, amount int NOT NULL, note text DEFAULT 'note');
    CREATE TABLE visit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind int NOT NULL, seen int NOT NULL DEFAULT 1, unused int);
    ALTER TABLE item REPLICA IDENTITY FULL;
    ALTER TABLE visit REPLICA IDENTITY FULL;
    CREATE FUNCTION graded(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n % 5';
    INSERT INTO item (kind, amount) SELECT i % 10, i FROM generate_series(1, 2000) AS i;
    INSERT INTO visit (kind) SELECT i % 10 FROM generate_series(1, 2000) AS i;
"""
SUMS = "SELECT kind, count(*) AS items, sum(amount) AS amount FROM item GROUP BY kind"
SEEN = "SELECT kind, sum(seen) AS seen FROM visit GROUP BY kind"
GRADES = "SELECT graded(kind) AS grade, sum(seen) AS seen FROM visit GROUP BY 1"
LOAD = """
\\set k random(0, 9)
\\set i random(1, 2000)
INSERT INTO item (kind, amount) VALUES (:k, :i);
UPDATE item SET amount = amount + 1, kind = :k WHERE id = :i;
DELETE FROM item WHERE id = :i + 2000;
INSERT INTO visit (kind) VALUES (:k);
UPDATE visit SET kind = :k WHERE id = :i;
DELETE FROM visit WHERE id = :i + 2000;
\\sleep 5 ms
"""


@contextlib.contextmanager
def copies_under_load(rig, victim=SEEN):
    """`sums`, which has to survive, and `victim` over the table visit; both live, both tables written to."""
    rig.sql(SCHEMA)
    rig.init()
    rig.create("sums", SUMS)
    rig.create("victim", victim)
    rig.sidecar.start()
    rig.wait_live("sums", "victim")
    with rig.load(LOAD):
        yield
    assert rig.state("sums")[0] == "live", rig.state("sums")


def expect_stale(rig, *words):
    rig.wait_for_state("victim", "stale")
    for word in words:
        assert word in rig.state("victim")[2], f'"{word}" is not in the reason: {rig.state("victim")[2]}'
    # What is read stays, and the others go on.
    assert rig.value("SELECT count(*) FROM victim") > 0
    rig.wait_fresh("sums")


def replace(rig, query=None):
    """Rebuilds the victim, or gives it another query; waits until that has taken its place."""
    if query is None:
        run = rig.value("SELECT anabranch.rebuild('victim')")
    else:
        run = rig.value("SELECT anabranch.alter_aggregate_table('victim', %s)", (query,))
    rig.wait_until(lambda: rig.value("SELECT state NOT IN ('queued', 'running') FROM anabranch.verification WHERE run = %s", (run,)), f"run {run}")
    state, reason = rig.sql("SELECT state, reason FROM anabranch.verifications WHERE run = %s", (run,))[0]
    assert state == "done", reason
    rig.wait_live("victim")
    if query is not None:
        rig.sql("SELECT anabranch.drop_former('victim')")


def expect_exact(rig, victim=SEEN):
    rig.expect_current({"sums": SUMS, "victim": victim})
    rig.sidecar.stop()


@needs(seconds=40)
def test_what_no_copy_minds(rig):
    with copies_under_load(rig):
        rig.sql("ALTER TABLE visit ADD COLUMN more text DEFAULT 'x', ADD COLUMN other int")
        rig.sql("ALTER TABLE visit DROP COLUMN unused")
        rig.sql("ALTER TABLE visit RENAME COLUMN more TO still_more")
        rig.sql("ALTER TABLE visit ALTER COLUMN other TYPE numeric")
        rig.sql("VACUUM FULL visit")
        rig.sql("CLUSTER visit USING visit_pkey")
        rig.sql("ALTER TABLE visit RENAME TO visited")
        rig.sql("ALTER TABLE visited RENAME TO visit")
        rig.sql("ALTER TABLE visit REPLICA IDENTITY DEFAULT; ALTER TABLE visit REPLICA IDENTITY FULL")
        rig.sql("TRUNCATE visit")
        rig.sql("CREATE OR REPLACE FUNCTION graded(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n % 6'")
    expect_exact(rig)


@needs(seconds=40)
def test_a_used_column_renamed_and_back(rig):
    with copies_under_load(rig):
        rig.sql("ALTER TABLE visit RENAME COLUMN seen TO looked")
        expect_stale(rig, "column seen of table public.visit was renamed to looked")
        assert rig.sql_error("SELECT anabranch.rebuild('victim')").pgcode == "42703"
        rig.sql("ALTER TABLE visit RENAME COLUMN looked TO seen")
        replace(rig)
    expect_exact(rig)


@needs(seconds=40)
def test_a_used_column_renamed_for_good(rig):
    with copies_under_load(rig):
        rig.sql("ALTER TABLE visit RENAME COLUMN seen TO looked")
        expect_stale(rig, "renamed")
        renamed = SEEN.replace("sum(seen)", "sum(looked)")
        replace(rig, renamed)
    expect_exact(rig, renamed)


@needs(seconds=40)
def test_a_used_column_retyped(rig):
    with copies_under_load(rig):
        rig.sql("ALTER TABLE visit ALTER COLUMN seen TYPE bigint")
        expect_stale(rig, "column seen of table public.visit has changed its type")
        replace(rig)
    expect_exact(rig)


@needs(seconds=40)
def test_a_used_column_dropped(rig):
    with copies_under_load(rig):
        rig.sql("ALTER TABLE visit DROP COLUMN seen")
        expect_stale(rig, "column seen of table public.visit was dropped")
        without = "SELECT kind, count(*) AS seen FROM visit GROUP BY kind"
        replace(rig, without)
    expect_exact(rig, without)


@needs(seconds=40)
def test_the_table_dropped_and_made_again(rig):
    with copies_under_load(rig):
        rig.sql("DROP TABLE visit")
        expect_stale(rig, "table public.visit was dropped")
        rig.sql("CREATE TABLE visit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind int NOT NULL, seen int NOT NULL DEFAULT 1)")
        rig.sql("ALTER TABLE visit REPLICA IDENTITY FULL")
        error = rig.sql_error("SELECT anabranch.rebuild('victim')")
        assert error.pgcode == "AN004" and "alter_aggregate_table" in error.diag.message_hint, error
        replace(rig, SEEN)
    expect_exact(rig)


@needs(seconds=40)
def test_taken_out_of_the_publication(rig):
    with copies_under_load(rig):
        rig.sql("ALTER PUBLICATION anabranch DROP TABLE visit")
        expect_stale(rig, 'publication "anabranch" no longer has every change of table public.visit', "anabranch.rebuild")
        rig.sql("UPDATE visit SET seen = seen + 1 WHERE id % 3 = 0")
        rig.sql("ALTER PUBLICATION anabranch ADD TABLE visit")
        rig.sql("UPDATE visit SET seen = seen + 1 WHERE id % 4 = 0")
        assert rig.state("victim")[0] == "stale", "what was written meanwhile is not in the log"
        replace(rig)
    expect_exact(rig)


@needs(seconds=40)
def test_the_replica_identity_taken_away(rig):
    with copies_under_load(rig):
        rig.sql("ALTER TABLE visit REPLICA IDENTITY DEFAULT")
        expect_stale(rig, "REPLICA IDENTITY FULL")
        rig.sql("ALTER TABLE visit REPLICA IDENTITY FULL")
        replace(rig)
    expect_exact(rig)


@needs(seconds=40)
def test_a_function_replaced(rig):
    with copies_under_load(rig, GRADES):
        rig.sql("CREATE OR REPLACE FUNCTION graded(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n % 5'")
        rig.wait_fresh("victim")
        rig.sql("CREATE OR REPLACE FUNCTION graded(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n % 4'")
        expect_stale(rig, "function public.graded(integer), which its query calls, was replaced", "anabranch.rebuild")
        replace(rig)
        assert rig.value("SELECT max(grade) FROM victim") == 3
    expect_exact(rig, GRADES)
