"""What the programs that measure the sidecar share: a cluster like a small production server, and tables of figures.

Each makes a private copy of the server that pg_config names, with the extension as built (run `make` and build the sidecar
first), and removes it at its end.
"""
import contextlib
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "e2e"))
sys.dont_write_bytecode = True

from rig import Rig  # noqa: E402  (the path comes first)

SERVER = {"shared_buffers": "1GB", "max_wal_size": "16GB", "checkpoint_timeout": "30min", "fsync": "on", "autovacuum_naptime": "10s"}


def cluster_script(*arguments):
    return subprocess.run([ROOT / "scripts" / "cluster.sh", *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


@contextlib.contextmanager
def rigs():
    """A function rig(name, setting=value...) that makes a cluster in rig.directory, which is removed at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that what was started ends, too
    directory = cluster_script("private_directory")
    try:
        pg_config = cluster_script("private_server", directory)
        subprocess.run(["make", "-s", "-C", ROOT, "install", f"PG_CONFIG={pg_config}"], check=True, stdout=subprocess.DEVNULL)

        def make_rig(name, **settings):
            return Rig(directory, name, **SERVER, **settings)

        make_rig.directory = directory
        yield make_rig
    finally:
        cluster_script("remove", directory)


def wait_applied(rig, lsn):
    """Waits until everything up to `lsn` is in the live copies; returns the moment (time.monotonic())."""
    while not rig.value("SELECT lsn >= %s::pg_lsn FROM anabranch.source", (lsn,)):
        time.sleep(0.02)
    return time.monotonic()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def peak_mb(pid):
    """The most memory that was resident, as the kernel has it (VmHWM)."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def table(head, rows):
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(str(cell).ljust(width) if column == 0 else str(cell).rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))))
    sys.stdout.flush()
