#!/usr/bin/env bash
# The version stands in anabranch.control; META.json, the changelog and the README repeat it. What PGXN demands of
# META.json (https://pgxn.org/spec/) is checked here, so that a release does not fail on the day it is uploaded; and that
# the C++ files are laid out as clang-format 14 lays them out.
set -euo pipefail
cd "$(dirname "$0")/.."
exec /usr/bin/python3 - <<'PYTHON'
import json, pathlib, re, subprocess, sys

passed = failed = 0

def check(condition, what):
    global passed, failed
    print("ok" if condition else "FAILED", what)
    if condition: passed += 1
    else: failed += 1

def text(name):
    path = pathlib.Path(name)
    return path.read_text(encoding="utf-8") if path.exists() else ""

version = re.search(r"^default_version *= *'(.*)'", text("anabranch.control"), re.M).group(1)
meta = json.loads(text("META.json"))
provided = meta["provides"]["anabranch"]

check(re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[A-Za-z][-0-9A-Za-z]*)?", version), "the version is a semantic version")
check(meta["version"] == version, "META.json: version of the distribution")
check(provided["version"] == version, "META.json: version of the extension")
check(all(meta.get(key) for key in ("name", "abstract", "version", "maintainer", "license", "provides", "meta-spec")), "META.json: required keys")
check(meta["license"] == "postgresql", "META.json: licence")
check(meta["meta-spec"]["version"] == "1.0.0", "META.json: version of the specification")
check(meta.get("release_status", "stable") in ("stable", "testing", "unstable"), "META.json: release status")
check(re.fullmatch(r"[^/\\\x00-\x20\x7f]{2,}", meta["name"]), "META.json: name")
check(all(len(tag) <= 256 and "/" not in tag for tag in meta["tags"]), "META.json: tags")
check(pathlib.Path(provided["file"]).exists(), f"META.json: file \"{provided['file']}\" exists")
check(pathlib.Path(provided["docfile"]).exists(), f"META.json: docfile \"{provided['docfile']}\" exists")
check(version in text("README.md"), "README.md names the version")
check(re.search(rf"^## .*\b{re.escape(version)}\b", text("CHANGELOG.md"), re.M), "CHANGELOG.md has the version")
steps = sorted(path.name for path in pathlib.Path("sql").glob("anabranch--*--*.sql"))
check(all(re.fullmatch(r"anabranch--[^-]+--[^-]+\.sql", step) for step in steps), "update scripts are named by two versions")

sources = sorted(str(path) for folder in ("bench", "decoder", "extension", "sidecar", "test")
                 for ending in ("cpp", "hpp") for path in pathlib.Path(folder).rglob(f"*.{ending}"))
try:
    layout = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *sources], stderr=subprocess.PIPE, text=True)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", layout.stderr, re.M)))
    check(layout.returncode == 0, f"{len(sources)} files as clang-format lays them out" + "".join(f"; not {path}" for path in wrong))
except FileNotFoundError:
    check(False, "clang-format-14 is not installed")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
PYTHON
