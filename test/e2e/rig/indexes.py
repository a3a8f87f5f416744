"""Indexes outside the database: settings of the sidecar that name their engines, and waits for what they hold."""

import json

from rig.sidecar import command
from rig.waiting import PATIENCE_SECONDS, wait_until


def use_engines(rig, **sections):
    """Gives the rig's sidecar a settings file with [index.NAME] for each of NAME={key: value}, and prepares the database."""
    path = rig.directory / f"{rig.log_path.name}.toml"
    lines = []
    for name, keys in sections.items():
        lines += [f"[index.{name}]", *[f"{key} = {json.dumps(value)}" for key, value in keys.items()]]
    path.write_text("\n".join(lines) + "\n")
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
