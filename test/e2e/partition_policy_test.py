"""Partitions go, and rollups outlive them: under load, what a copy keeps of them, what it says of that, and how it is given up.

Method: writers change the partitions that stay. A partition is dropped, another detached: the copy that keeps goes on, the other is
stale with the reason. The copy is then what it was for the months that are gone, and exact for those that stay.
"""

from rig import needs
from rig.compare import expect_equal

SCHEMA = """
    CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY, month int NOT NULL, n int NOT NULL, PRIMARY KEY (id, month)) PARTITION BY LIST (month);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);
    CREATE TABLE event_2 PARTITION OF event FOR VALUES IN (2);
    CREATE TABLE event_3 PARTITION OF event FOR VALUES IN (3);
    CREATE TABLE event_4 PARTITION OF event FOR VALUES IN (4);
    INSERT INTO event (month, n) SELECT 1 + i % 4, i FROM generate_series(1, 4000) AS i;
"""
BY_MONTH = "SELECT month, count(*) AS events, sum(n) AS n FROM event GROUP BY month"
TOTAL = "SELECT count(*) AS events FROM event"
LOAD = """
\\set i random(1, 4000)
INSERT INTO event (month, n) VALUES (3 + :i % 2, :i);
UPDATE event SET n = n + 1 WHERE id = :i AND month > 2;
DELETE FROM event WHERE id = :i + 4000 AND month > 2;
\\sleep 5 ms
"""


def verified(rig, copy):
    run = rig.value("SELECT anabranch.verify(%s, duty => 1, repair => true)", (copy,))
    rig.wait_until(lambda: rig.value("SELECT state NOT IN ('queued', 'running') FROM anabranch.verification WHERE run = %s", (run,)), f"run {run}")
    return rig.sql("SELECT state, keys_compared, differing, retained, undetermined, reason FROM anabranch.verifications WHERE run = %s", (run,))[0]


@needs(seconds=45)
def test_kept_after_the_partition(rig):
    rig.sql(SCHEMA)
    rig.init()
    rig.create("by_month", BY_MONTH, ", prepare_sources => true")
    rig.create("total", TOTAL, ", prepare_sources => true")
    rig.sql("SELECT anabranch.on_partition_removed('by_month', 'keep')")
    rig.sidecar.start()
    rig.wait_live("by_month", "total")
    gone = "month < 3"
    with rig.load(LOAD):
        rig.sql("INSERT INTO event (month, n) SELECT 1, 7 FROM generate_series(1, 100)")
        was = rig.sql(f"SELECT month, count(*), sum(n) FROM event WHERE {gone} GROUP BY month ORDER BY month")
        rig.sql("DROP TABLE event_1")
        rig.sql("ALTER TABLE event DETACH PARTITION event_2")
        rig.sql("INSERT INTO event_2 (id, month, n) VALUES (100000, 2, 1)")  # nobody's concern any more
        rig.wait_for_state("total", "stale")
        assert "event_1" in rig.state("total")[2]
        rig.wait_fresh("by_month")
        state, compared, differing, retained, undetermined, reason = verified(rig, "by_month")
        assert (state, compared, differing, retained, undetermined) == ("done", 4, 0, 2, 0), (state, compared, differing, retained, undetermined, reason)
        assert rig.value("SELECT problem FROM anabranch.findings WHERE name = 'by_month'").startswith("keeps rows of 2 partitions")
        rig.sidecar.kill()
        rig.sidecar.start()
    rig.wait_fresh("by_month")
    assert rig.sql(f"SELECT * FROM by_month WHERE {gone} ORDER BY month") == was, "what is gone from the sources is what it was"
    rig.sql("CREATE VIEW recent AS SELECT * FROM by_month WHERE month > 2")
    expect_equal(rig.connection, "recent", BY_MONTH)

    # A row of a month that is gone: its group is told from the others, and is not called equal.
    rig.sql("CREATE TABLE event_0 PARTITION OF event FOR VALUES IN (1); ALTER TABLE event_0 REPLICA IDENTITY FULL; INSERT INTO event (month, n) VALUES (1, 5)")
    rig.wait_fresh("by_month")
    assert rig.value("SELECT events FROM by_month WHERE month = 1") == was[0][1] + 1
    assert verified(rig, "by_month")[:5] == ("done", 4, 0, 1, 1)
    assert rig.value("SELECT events FROM by_month WHERE month = 1") == was[0][1] + 1, "repairing takes nothing of it"

    # Filled anew it would lose them: only when its owner says so.
    error = rig.sql_error("SELECT anabranch.rebuild('by_month')")
    assert error.pgcode == "AN004" and "on_partition_removed" in error.diag.message_hint, error
    rig.sql("SELECT anabranch.on_partition_removed('by_month', 'stale')")
    assert rig.state("by_month")[0] == "stale"
    for copy in ["by_month", "total"]:
        rig.sql("SELECT anabranch.rebuild(%s)", (copy,))
    for copy in ["by_month", "total"]:
        rig.wait_for_state(copy, "live", tolerate="stale")
    rig.expect_current({"by_month": BY_MONTH, "total": TOTAL})
    rig.sidecar.stop()
