"""What is different while the log has more at hand than a batch takes: batches grow.

Method: transactions are written while the sidecar is stopped, many times what a batch of a copy that is level takes. What
must hold is the same as ever: contents, positions, what becomes of a copy that fails, a stop that ends soon. What must be
better is how often a group is written.
"""

import time

GROUPS = 10_000
TRANSACTIONS = 300
ROWS_PER_TRANSACTION = 1_000
COUNTS = "SELECT part, count(*) AS items, sum(amount) AS amount FROM item GROUP BY part"
SHARES = "SELECT part, sum(100 / amount) AS shares FROM item GROUP BY part"


def prepare(rig, **copies):
    rig.sql("CREATE TABLE item (id int PRIMARY KEY, part int NOT NULL, amount int NOT NULL)")
    rig.sql("ALTER TABLE item REPLICA IDENTITY FULL")
    rig.sql(f"INSERT INTO item SELECT -i, i % {GROUPS}, 1 FROM generate_series(1, 20000) AS i")
    rig.init()
    for name, query in copies.items():
        rig.create(name, query)
    rig.sidecar.start()
    rig.wait_live(*copies)
    rig.sidecar.stop()


def write_backlog(rig, bad_transaction=None):
    """`bad_transaction`: the number, from 1, of the one that has an amount of zero in it."""
    rig.sql(f"""DO $$
        BEGIN
          FOR t IN 1 .. {TRANSACTIONS} LOOP
            INSERT INTO item SELECT t * {ROWS_PER_TRANSACTION} + i, (t * 7919 + i) % {GROUPS}, CASE WHEN t = {bad_transaction or 0} AND i = 500 THEN 0 ELSE i + 1 END
            FROM generate_series(0, {ROWS_PER_TRANSACTION - 1}) AS i;
            COMMIT;
          END LOOP;
        END $$""")


def test_groups_are_written_once_for_many_rows(rig):
    prepare(rig, totals=COUNTS)
    before = rig.value("SELECT n_tup_upd FROM pg_stat_all_tables WHERE relid = 'anabranch_data.totals'::regclass")
    write_backlog(rig)
    rig.sidecar.start()
    rig.expect_current({"totals": COUNTS})
    rig.sidecar.stop()

    def written():
        return rig.value("SELECT n_tup_upd FROM pg_stat_all_tables WHERE relid = 'anabranch_data.totals'::regclass") - before

    # A session that has ended has told its numbers, or is about to.
    rig.wait_until(lambda: written() >= GROUPS, "the statistics of the session that applied")
    assert written() <= 4 * GROUPS, f"{written()} versions of {GROUPS} groups were written"


def test_failing_copy_holds_what_came_before(rig):
    bad = TRANSACTIONS * 2 // 3
    prepare(rig, totals=COUNTS, shares=SHARES)
    write_backlog(rig, bad_transaction=bad)
    rig.sidecar.start()
    rig.expect_current({"totals": COUNTS})
    state, sqlstate, _ = rig.state("shares")
    assert (state, sqlstate) == ("failed", "22012"), (state, sqlstate)
    assert rig.sql(f"TABLE shares EXCEPT ALL ({SHARES.replace('GROUP', f'WHERE id < {bad * ROWS_PER_TRANSACTION} GROUP')})") == []
    assert rig.value("SELECT lsn < failed_lsn FROM anabranch.progress WHERE copy = 'shares'::regclass")
    rig.sql("UPDATE item SET amount = 1 WHERE amount = 0")
    rig.sidecar.stop()


def test_stop_ends_soon(rig):
    prepare(rig, totals=COUNTS)
    write_backlog(rig)
    for _ in range(5):
        rig.sidecar.start()
        time.sleep(0.5)
        rig.sidecar.stop()
    rig.sidecar.start()
    rig.expect_current({"totals": COUNTS})
    rig.sidecar.stop()


def test_killed_in_a_backlog(rig, rng):
    prepare(rig, totals=COUNTS)
    write_backlog(rig)
    for _ in range(8):
        rig.sidecar.start()
        time.sleep(0.2 + 1.5 * rng.random())
        rig.sidecar.kill()
    rig.sidecar.start()
    rig.expect_current({"totals": COUNTS})
    rig.sidecar.stop()
