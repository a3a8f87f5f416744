"""kill -9 of the sidecar and of the server, at random under load and at every failpoint: nothing lost, doubled or
different.

Method: kill, start again, and after some rounds stop the writers, wait until the copies are fresh and compare them
with their definitions as PostgreSQL computes them. Copies are created, dropped, paused and resumed meanwhile, so that
kills meet fills and handovers too.
"""

import os
import pathlib
import re
import time

from rig import needs, social

KILLS = int(os.environ.get("ANABRANCH_KILLS", "200"))
ROUNDS_BETWEEN_COMPARISONS = 20
SIDECAR = pathlib.Path(__file__).resolve().parents[2] / "sidecar"


def failpoints(*parts):
    """The names of those in these directories of the sidecar, in the order of the source files; by default, of all that a
    run without Kafka and indexes comes to."""
    names = []
    for path in sorted(SIDECAR.rglob("*.cpp")):
        part = path.relative_to(SIDECAR).parts[0]
        if part not in parts if parts else part in ("publish", "index"):
            continue
        names += re.findall(r'failpoint\("([^"]+)"\)', path.read_text())
    return list(dict.fromkeys(names))


def kill_in_rounds(rig, rng, rounds, kill):
    """`kill()` once a round under load; a comparison every so often, and at the end."""
    social.prepare(rig)
    done = 0
    while done < rounds:
        with rig.load(social.LOAD):
            for _ in range(min(ROUNDS_BETWEEN_COMPARISONS, rounds - done)):
                if not rig.sidecar.running():
                    rig.sidecar.start()
                time.sleep(rng.choice([0.02, 0.1, 0.3, 0.6]) * rng.random())
                kill()
                done += 1
        if not rig.sidecar.running():
            rig.sidecar.start()
        rig.expect_current(social.COPIES)
        # The next rounds begin with a copy to fill.
        rig.sql("SELECT anabranch.drop_aggregate_table('tweets_by_user')")
        rig.create("tweets_by_user", social.TWEETS_BY_USER)
    rig.expect_current(social.COPIES)
    rig.sidecar.stop()


@needs(seconds=90)
def test_sidecar_killed_at_random(rig, rng):
    kill_in_rounds(rig, rng, KILLS * 3 // 4, rig.sidecar.kill)


@needs(seconds=60)
def test_server_killed_at_random(rig, rng):
    """The sidecar has to find its way back by itself."""
    kill_in_rounds(rig, rng, KILLS // 5, rig.crash_restart)


@needs(seconds=30)
def test_both_killed_at_random(rig, rng):
    def kill():
        rig.sidecar.kill()
        rig.crash_restart()

    kill_in_rounds(rig, rng, KILLS - KILLS * 3 // 4 - KILLS // 5, kill)


def pass_everywhere(rig):
    """Leads the sidecar past everything it does: fill, catch up, apply, show, pause, resume, drop. Waits a little after
    each step; whether the sidecar still lives is for the caller to see."""
    steps = [
        lambda: rig.create("extra", "SELECT user_id % 7 AS day, count(*) AS tweets FROM tweets GROUP BY 1"),
        lambda: rig.sql("INSERT INTO tweets (user_id, body) SELECT i % 50, repeat('x', i % 3000) FROM generate_series(1, 2000) AS i"),
        lambda: rig.sql("UPDATE tweets SET user_id = user_id + 1 WHERE tweet_id % 10 = 0"),
        lambda: rig.sql("SELECT anabranch.pause('user_activity')"),
        lambda: rig.sql("DELETE FROM tweets WHERE tweet_id % 17 = 0"),
        lambda: rig.sql("SELECT anabranch.resume('user_activity')"),
        lambda: rig.sql("INSERT INTO likes (user_id, tweet_id) SELECT 1 + i % 97, i FROM generate_series(1, 300) AS i"),
        # More than fits into one round.
        lambda: rig.sql("INSERT INTO tweets (user_id, body) SELECT 1, repeat('y', 4000) || i FROM generate_series(1, 8000) AS i"),
        lambda: rig.sql("DELETE FROM tweets WHERE body LIKE 'yyy%'"),
        lambda: damage_and_verify(rig),
        lambda: rebuild(rig, "extra"),
        # A copy that fails.
        lambda: rig.create("fragile", "SELECT user_id, sum(1000 / (user_id + 1)) AS share FROM likes GROUP BY 1"),
        lambda: wait_live_if_running(rig, "fragile"),
        lambda: rig.sql("INSERT INTO likes (user_id) VALUES (-1)"),
        lambda: drop_fragile(rig),
        lambda: rig.sql("SELECT anabranch.drop_aggregate_table('extra')"),
        lambda: rig.sql("DELETE FROM likes WHERE like_id % 13 = 0"),
    ]
    for step in steps:
        step()
        yield


def reach_failpoint(rig, gone):
    """True once gone() holds; the scenario is led through until then, the third time with more patience, as slow machines
    need it."""
    for looks in (30, 30, 500):
        for _ in pass_everywhere(rig):
            for _ in range(looks):
                if gone():
                    return True
                time.sleep(0.02)
    return gone()


def wait_live_if_running(rig, copy):
    """What fails is to come with the stream, not with the fill; a sidecar that is behind begins to fill a little later."""
    deadline = time.monotonic() + 20
    while rig.sidecar.running() and not rig.sidecar.halted() and rig.state(copy)[0] != "live" and time.monotonic() < deadline:
        time.sleep(0.05)


def damage_and_verify(rig):
    """One that finds something to repair, if it comes to it before the next."""
    rig.sql("UPDATE anabranch_data.user_activity SET anabranch_rows = anabranch_rows + 1 WHERE user_id = 17")
    rig.sql("SELECT anabranch.verify('user_activity', repair => true, duty => 1) WHERE (SELECT state FROM anabranch.progress "
            "WHERE copy = 'user_activity'::regclass) NOT IN ('paused', 'failed', 'stale')")
    wait_for_verifications(rig)


def rebuild(rig, copy):
    rig.sql("SELECT anabranch.rebuild(%s)", (copy,))
    wait_for_verifications(rig)


def wait_for_verifications(rig):
    deadline = time.monotonic() + 10
    while rig.sidecar.running() and not rig.sidecar.halted() and open_verifications(rig) and time.monotonic() < deadline:
        time.sleep(0.05)


def open_verifications(rig):
    return rig.value("SELECT count(*) FROM anabranch.verification WHERE state IN ('queued', 'running')")


def expect_repaired_and_current(rig):
    """What a verification that was cut off had not repaired yet, it repairs when it is taken up again."""
    if rig.value("SELECT max(run) FROM anabranch.verification"):
        rig.wait_live("user_activity")
        rig.sql("SELECT anabranch.verify('user_activity', repair => true, duty => 1)")
        rig.wait_until(lambda: open_verifications(rig) == 0, "the verifications to end")
    rig.expect_current(social.COPIES)


def drop_fragile(rig):
    rig.sql("DELETE FROM likes WHERE user_id = -1")
    if rig.value("SELECT to_regclass('fragile') IS NOT NULL"):
        rig.sql("SELECT anabranch.drop_aggregate_table('fragile')")


def tidy(rig):
    """Back to the state pass_everywhere() begins with, whatever it was left in."""
    drop_fragile(rig)
    if rig.value("SELECT to_regclass('extra') IS NOT NULL"):
        rig.sql("SELECT anabranch.drop_aggregate_table('extra')")
    rig.sql("SELECT anabranch.resume(copy) FROM anabranch.definition WHERE requested = 'pause'")


@needs(seconds=150)
def test_sidecar_killed_at_each_failpoint(rig):
    social.prepare(rig)
    names = failpoints()
    assert names, "the sidecar has no failpoints"
    never_reached = []
    for name in names:
        rig.sidecar.start(failpoint=name)
        if not reach_failpoint(rig, lambda: not rig.sidecar.running()):
            never_reached.append(name)
        rig.sidecar.kill()
        tidy(rig)
        rig.sidecar.start()
        expect_repaired_and_current(rig)
        rig.sidecar.stop()
    assert not never_reached, f"failpoints that nothing led to: {never_reached}"


@needs(seconds=150)
def test_server_killed_at_each_failpoint(rig):
    """The sidecar is halted there, the server dies and comes back, the sidecar goes on with dead connections."""
    social.prepare(rig)
    for name in failpoints():
        rig.sidecar.start(failpoint=f"{name}:1:halt")
        halted = reach_failpoint(rig, rig.sidecar.halted)
        rig.crash_restart()
        if halted:
            rig.sidecar.go_on()
        tidy(rig)
        expect_repaired_and_current(rig)
        rig.sidecar.stop()
