#!/usr/bin/python3
"""The package index of this machine as SQL for psql: COPY data for package and dependency.

Every Debian machine has the index after `apt-get update` (`apt-cache dumpavail`). Where it is empty, it is fetched into
a directory of our own, without root; where there is no network either, the packages installed here have to do.
An edge is a package named in Depends or Pre-Depends, alternatives and versions left out, once per pair.
"""

import re
import subprocess
import sys
import tempfile

FEW = 10_000


def dumpavail(*options):
    done = subprocess.run(["apt-cache", *options, "dumpavail"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode(errors="replace")


def index():
    """(text of the index, where it is from)."""
    text = dumpavail()
    if text.count("\nPackage: ") >= FEW:
        return text, "apt-cache dumpavail"
    with tempfile.TemporaryDirectory(prefix="anabranch-apt.") as state:
        own = ["-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache", "-o", "APT::Sandbox::User="]
        for part in ("lists/partial", "cache/archives/partial"):
            subprocess.run(["mkdir", "-p", f"{state}/{part}"], check=True)
        subprocess.run(["apt-get", "-q", *own, "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fetched = dumpavail(*own)
    if fetched.count("\nPackage: ") > text.count("\nPackage: "):
        return fetched, "apt-get update into a directory of our own, apt-cache dumpavail"
    with open("/var/lib/dpkg/status", encoding="utf-8", errors="replace") as status:
        installed = status.read()
    if installed.count("\nPackage: ") > text.count("\nPackage: "):
        return installed, "the packages installed here (no index, no network)"
    return text, "apt-cache dumpavail"


def parse(text):
    """{name: (section, installed kB, download bytes, description)} and {name: names it depends on}; the first version wins."""
    packages, edges = {}, {}
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Section|Installed-Size|Size|Depends|Pre-Depends|Description)(?:-en)?: (.*)$", paragraph, re.M))
        name = fields.get("Package")
        if not name or name in packages:
            continue
        packages[name] = (fields.get("Section", "unknown"), fields.get("Installed-Size", r"\N"), fields.get("Size", r"\N"),
                          fields.get("Description", "").replace("\\", r"\\").replace("\t", " "))
        named = ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if key in fields)
        edges[name] = {re.split(r"[ (:|]", clause.strip(), maxsplit=1)[0] for clause in named.split(",") if clause.strip()}
    return packages, edges


def main():
    text, origin = index()
    packages, edges = parse(text)
    sys.stdout.reconfigure(encoding="utf-8")
    print("COPY package (name, section, installed_kb, download_bytes, description) FROM stdin;")
    for name, values in packages.items():
        print(name, *values, sep="\t")
    print("\\.")
    print("COPY dependency (package, depends_on) FROM stdin;")
    for name, targets in edges.items():
        for target in sorted(targets):
            print(name, target, sep="\t")
    print("\\.")
    print(f"{len(packages)} packages, {sum(map(len, edges.values()))} dependencies, from {origin}", file=sys.stderr)


if __name__ == "__main__":
    main()
