"""Indexes outside the database: settings of the sidecar that name their engines, waits for what they hold, and kills round them."""

import json
import time

from rig import social
from rig.waiting import PATIENCE_SECONDS, wait_until


def engine_sections(**sections):
    """Lines of a settings file, with [index.NAME] for each of NAME={key: value}."""
    lines = []
    for name, keys in sections.items():
        lines += [f"[index.{name}]", *[f"{key} = {json.dumps(value)}" for key, value in keys.items()]]
    return "\n".join(lines) + "\n"


def use_engines(rig, **sections):
    """Gives the rig's sidecar a settings file with these sections, and prepares the database."""
    path = rig.directory / f"{rig.log_path.name}.toml"
    path.write_text(engine_sections(**sections))
    path.chmod(0o600)
    rig.sidecar.arguments = ["--config", str(path)]
    rig.init()
    return path


def redis_section(redis, **more):
    return {"kind": "redis", "url": f"redis://{redis.address}/0", **more}


def search_section(opensearch, **more):
    return {"kind": "opensearch", "url": opensearch.address, "refresh_interval": "100 ms", **more}


def create_index(rig, name, engine, query, columns, **options):
    rig.sql("SELECT anabranch.create_index(%s, %s, %s, %s, %s, prepare_sources => true)", (name, engine, query, columns, json.dumps(options)))


def wait_complete(rig, *names, seconds=PATIENCE_SECONDS):
    """Until each is live, and its newest generation is the one that readers find."""
    for name in names:
        def state():
            return rig.sql("SELECT state, problem FROM anabranch.indexes WHERE index = %s::regclass", (name,))[0]
        wait_until(lambda: state()[0] == "live", lambda: f"index {name} to be live: {state()}\n{rig.sidecar.log_tail()}", seconds=seconds)


def verify(rig, name, mode="full", repair=False, seconds=PATIENCE_SECONDS):
    """Runs a verification to its end; its row of anabranch.verifications as a dictionary."""
    run = rig.value("SELECT anabranch.verify(%s::regclass, %s, NULL, 1, %s)", (name, mode, repair))
    return ended(rig, run, seconds)


def ended(rig, run, seconds=PATIENCE_SECONDS):
    def row():
        return rig.value("SELECT to_jsonb(v) FROM anabranch.verifications AS v WHERE run = %s", (run,))
    wait_until(lambda: row()["state"] not in ("queued", "running"), lambda: f"the end of run {run}: {row()}", seconds=seconds)
    return row()


def differences(rig, run):
    """[(class, key, outcome)] of what a run found in the index."""
    return rig.sql("SELECT class, key, outcome FROM anabranch.differences WHERE run = %s AND held_by = 'index' ORDER BY class, key::text", (run,))


def problem(rig, name):
    return rig.sql("SELECT problem, remedy FROM anabranch.indexes WHERE index = %s::regclass", (name,))[0]


# --- Kills ----------------------------------------------------------------------------------------------------------


def open_verifications(rig):
    return rig.value("SELECT count(*) FROM anabranch.verifications WHERE state IN ('queued', 'running')")


def kill_at_each_step(rig, rng, failpoints, counts, seconds, verified, damage):
    """The sidecar kills itself at each of the failpoints, when it comes there for the n-th time for each of `counts`, within `seconds`; meanwhile the
    tables of rig.social change, and what leads to the failpoint is asked for. `damage()` spoils documents of the index `verified`, and says whether
    there were any. At last all indexes are live and fresh, and what was damaged is mended."""
    assert {"index_opened", "index_written", "index_recorded", "index_published", "index_compared", "index_repaired"} <= set(failpoints), failpoints
    for name in failpoints:
        for count in counts:
            rig.sidecar.start(failpoint=f"{name}:{count}")
            deadline = time.monotonic() + seconds
            while rig.sidecar.running() and time.monotonic() < deadline:
                social.change(rig, rng, 5)
                if name in ("index_compared", "index_repaired") and not open_verifications(rig) and damage():
                    rig.sql("SELECT anabranch.verify(%s::regclass, 'index', duty => 1, repair => true)", (verified,))
                if name == "index_published" and rig.value("SELECT min(filled) = max(generation) FROM anabranch.index_progress AS p "
                                                           "JOIN anabranch.external_index AS x ON x.copy = p.copy"):
                    rig.sql("SELECT anabranch.alter_index(index, options => options) FROM anabranch.indexes")
            assert not rig.sidecar.running(), f"{name}:{count} was not reached"
            rig.sidecar.wait()
    rig.sidecar.start()
    indexes = [index for index, in rig.sql("SELECT index::text FROM anabranch.indexes")]
    wait_complete(rig, *indexes)
    rig.wait_until(lambda: not open_verifications(rig), "the end of verifications")
    rig.wait_fresh(*indexes)
    verify(rig, verified, "index", repair=True)


def kill_everybody(rig, rng, engine, rounds, engine_kills, expect_equal):
    """kill -9 of sidecar and server, twice each a round, and of the engine, `engine_kills` times, in an order drawn at random, under load. After each
    round expect_equal(rig, engine)."""
    def kill_engine():
        engine.kill()
        time.sleep(rng.choice([0, 0.3]))
        engine.start()

    for _ in range(rounds):
        kills = [rig.sidecar.kill, rig.crash_restart] * 2 + [kill_engine] * engine_kills
        rng.shuffle(kills)
        with rig.load(social.STEADY_LOAD):
            for kill in kills:
                time.sleep(rng.choice([0.05, 0.3, 1]) * rng.random())
                kill()
                if not rig.sidecar.running():
                    rig.sidecar.start()
        expect_equal(rig, engine)
