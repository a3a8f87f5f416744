"""The program under test, as a child process."""

import os
import pathlib
import signal
import subprocess
import time

PROGRAM = pathlib.Path(os.environ.get("ANABRANCH", pathlib.Path(__file__).resolve().parents[3] / "build" / "anabranch"))


class Sidecar:
    """`anabranch run` against one database. One object can be started again after it was killed or has stopped."""

    def __init__(self, cluster, dbname, log_path, user="postgres", arguments=()):
        self.environment = {**os.environ, **cluster.settings(dbname, user)}
        self.log_path = pathlib.Path(log_path)
        self.arguments = list(arguments)
        self.process = None

    def start(self, failpoint=None):
        """`failpoint`: "name" or "name:count", where the program kills itself; "name:count:halt": where it halts."""
        assert self.process is None, "the sidecar runs already"
        environment = dict(self.environment)
        if failpoint:
            environment["ANABRANCH_FAILPOINT"] = failpoint
        with open(self.log_path, "ab") as log:
            log.write(f"--- run{f', to end at {failpoint}' if failpoint else ''}\n".encode())
            log.flush()
            self.process = subprocess.Popen([PROGRAM, "run", *self.arguments], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds=60):
        """Its exit status, negative for a signal; raises subprocess.TimeoutExpired."""
        status = self.process.wait(seconds)
        self.process = None
        return status

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.wait()

    def stop(self, seconds=60):
        """SIGTERM, and a clean end: status 0 within `seconds`."""
        # Before its first line it has not got round to listening for signals.
        deadline = time.monotonic() + seconds
        while self.log().endswith("--- run\n") and self.running() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.process.terminate()
        status = self.wait(seconds)
        assert status == 0, f"the sidecar ended with status {status} after SIGTERM:\n{self.log_tail()}"

    def halt(self):
        """SIGSTOP: it stays connected and does nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def halted(self):
        """By halt() or by a failpoint."""
        if not self.running():
            return False
        status = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])


def command(cluster, dbname, *arguments, user="postgres", seconds=60, check=True, failpoint=None, within=()):
    """Runs another of the program's commands to its end; returns the CompletedProcess with text output. `failpoint`: as of start(). `within`: a command
    that runs the one behind it."""
    done = subprocess.run(
        [*within, PROGRAM, *arguments],
        env={**os.environ, **cluster.settings(dbname, user), **({"ANABRANCH_FAILPOINT": failpoint} if failpoint else {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    if check:
        assert done.returncode == 0, f"anabranch {' '.join(arguments)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
    return done
