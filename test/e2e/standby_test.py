"""A synchronous standby that is absent: commits hang, are in the WAL and are decoded, but nobody may see them yet.

The copies must not show them either (they would show what the source does not), whether the standby is lost while a
copy is applied or while it is created; and when it comes back, nothing is missing.
"""

import time

from rig import social
from rig.compare import differing_rows
from rig.standby import hanging_commit


def test_apply(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.expect_current(social.COPIES)
    with hanging_commit(rig, "INSERT INTO tweets (user_id, body) SELECT 43, 'unseen' FROM generate_series(1, 100)"):
        rig.sql("SET synchronous_commit = local")
        rig.sql("INSERT INTO tweets (user_id, body) VALUES (43, 'seen')")
        rig.wait_until(
            lambda: rig.value("SELECT problem ~ 'waits: transaction [0-9]+ is committed and not visible' AND remedy ~ 'synchronous_standby_names' "
                              "FROM anabranch.status WHERE kind = 'source'"), "status to say what the sidecar waits for")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            # What the copy shows may lag, but everything in it must be there to be seen.
            unseen = [row for row in differing_rows(rig.connection, "tweets_by_user", social.TWEETS_BY_USER) if row[0] == "only in the copy"]
            assert not unseen, f"shown before the source shows it: {unseen}"
            time.sleep(0.05)
    rig.expect_current(social.COPIES)
    rig.wait_until(lambda: rig.value("SELECT waiting IS NULL FROM anabranch.sources"), "status to say that it is over")
    rig.sidecar.stop()


def test_create(rig):
    social.prepare(rig, copies={})
    rig.sidecar.start()
    with hanging_commit(rig, "UPDATE tweets SET user_id = 42 WHERE tweet_id <= 500"):
        rig.sql("SET synchronous_commit = local")
        for name, query in social.COPIES.items():
            rig.create(name, query)
        rig.sql("DELETE FROM tweets WHERE tweet_id BETWEEN 600 AND 700")
        time.sleep(3)
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()


def test_sidecar_killed_while_absent(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    with hanging_commit(rig, "DELETE FROM tweets WHERE tweet_id <= 500"):
        for _ in range(5):
            time.sleep(0.3)
            rig.sidecar.kill()
            rig.sidecar.start()
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()
