"""`anabranch verify`: its words, its exit codes, and what it leaves to go on when it is interrupted. Method: bring copies into the
state, run the command as a child process, and look at what it says."""

import json
import signal
import subprocess

from command_line_test import expect, run
from rig import social
from rig.sidecar import PROGRAM


def prepare(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)


def damage(rig):
    rig.sql("UPDATE anabranch_data.user_activity SET anabranch_s1 = anabranch_s1 + 7 WHERE user_id = 7")


def lines_of(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_verify_proves_finds_and_repairs(rig):
    prepare(rig)
    output = run(rig, "verify", "--wait", "--duty", "1", status=0)
    for copy in social.COPIES:
        expect(output, f"equal public.{copy} run ", "equal to its definition at LSN")
    damage(rig)
    output = run(rig, "verify", "public.user_activity", "public.tweets_by_user", "--wait", "--duty", "1", status=1)
    expect(output, "differs public.user_activity", "1 of 1,000 keys differ" if "1,000" in output else "1 of 1000 keys differ",
           'wrong {"user_id": 7}, should be {', "-> anabranch verify public.user_activity --repair", "equal public.tweets_by_user")
    for mode in ([], ["--mode", "sketch"], ["--keys", '[7, {"user_id": 8}]']):
        (seen,) = lines_of(run(rig, "verify", "public.user_activity", "--wait", "--json", "--duty", "1", *mode, status=1))
        assert (seen["copy"], seen["state"], seen["differing"]) == ("public.user_activity", "done", 1), seen
        assert [(found["class"], found["key"]) for found in seen["differences"]] == [("wrong", {"user_id": 7})], seen
    expect(run(rig, "verify", "public.user_activity", "--wait", "--repair", "--duty", "1", status=0), "repaired public.user_activity",
           "all of them repaired", "(repaired)")
    run(rig, "verify", "--all", "--wait", "--duty", "1", status=0)
    # Asked for and left alone.
    output = run(rig, "verify", "public.user_activity", status=0)
    number = rig.value("SELECT max(run) FROM anabranch.verifications")
    expect(output, f"run {number} public.user_activity", f"SELECT * FROM anabranch.verifications WHERE run IN ({number})")
    rig.wait_until(lambda: rig.value("SELECT state FROM anabranch.verifications WHERE run = %s", (number,)) == "done", "the run")
    rig.sidecar.stop()


def test_verify_says_what_keeps_it(rig):
    expect(run(rig, "verify", status=3), "there is none that this role may control", "create_aggregate_table")
    rig.sql("CREATE DATABASE without")
    rig.sql("CREATE ROLE plain LOGIN; CREATE ROLE watcher LOGIN; GRANT anabranch_monitor TO watcher")
    expect(run(rig, "verify", "-d", "without", status=3), "-> anabranch init")
    expect(run(rig, "verify", "public.x", "-d", "without", status=3), "-> anabranch init")
    expect(run(rig, "verify", "-h", "/nowhere", status=3), "correct host and port")
    run(rig, "verify", "--bogus", status=3)
    prepare(rig)
    expect(run(rig, "verify", "public.users", status=3), "is not a copy made by anabranch", "SELECT copy FROM anabranch.copies")
    expect(run(rig, "verify", "public.nobody", status=3), "relation \"public.nobody\" does not exist", "as anabranch status shows them")
    expect(run(rig, "verify", "public.user_activity", "--keys", "[7", status=3), "invalid input syntax for type json", "as a list in JSON")
    expect(run(rig, "verify", user="plain", status=3), "permission denied", "GRANT anabranch_operator")
    expect(run(rig, "verify", user="watcher", status=3), "there is none that this role may control")
    expect(run(rig, "verify", "public.user_activity", user="watcher", status=3), "permission denied for copy", "Its owner and members")
    # One that cannot be asked for keeps no other.
    expect(run(rig, "verify", "public.nobody", "public.user_activity", "--wait", "--duty", "1", status=3), "does not exist", "equal public.user_activity")
    expect(run(rig, "verify", "public.user_activity", "--wait", "--keys", '[{"tweets": 1}]', status=2), "failed public.user_activity", "no column")
    rig.sql("SELECT anabranch.pause('user_activity')")
    rig.wait_for_state("user_activity", "paused")
    expect(run(rig, "verify", "public.user_activity", status=2), "is paused, and cannot be verified", "anabranch.resume")
    rig.sidecar.stop()


def test_verify_without_a_sidecar_and_interrupted(rig):
    prepare(rig)
    rig.sidecar.stop()
    rig.sql("UPDATE anabranch.heartbeat SET seen_at = seen_at - interval '1 min'")
    expect(run(rig, "verify", "public.user_activity", status=0), "public.user_activity queued", "sidecar is not running", "-> anabranch run")
    process = subprocess.Popen([PROGRAM, "verify", "public.tweets_by_user", "--wait"], env=rig.sidecar.environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    line = process.stdout.readline()
    expect(line, "public.tweets_by_user queued", "no sidecar is running; start one: anabranch run")
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait(60) == 3, output
    expect(output, "interrupted; the run goes on:", "SELECT anabranch.cancel(run)")
    rig.sidecar.start()
    rig.wait_until(lambda: rig.value("SELECT bool_and(state = 'done') FROM anabranch.verifications"), "the runs")
    rig.sidecar.stop()


def test_verify_outlasts_a_crash_of_the_server(rig):
    prepare(rig)
    rig.sidecar.stop()
    process = subprocess.Popen([PROGRAM, "verify", "--wait", "--duty", "1"], env=rig.sidecar.environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdout.readline()
    rig.crash_restart()
    rig.sidecar.start()
    output = process.stdout.read()
    assert process.wait(60) == 0, output
    expect(output, "trying again for", "equal public.user_activity", "equal public.tweets_by_user")
    rig.sidecar.stop()
