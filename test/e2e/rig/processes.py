"""Tests at the same time, each in a process of its own: what one prints is kept apart from the others', what it leaves running
is killed with it, and one that hangs says where and ends."""

import contextlib
import faulthandler
import os
import signal
import sys
import tempfile
import time
import traceback

from rig.servers import Unavailable

# A broker, registry or search engine takes 300 to 350 MB: with a shared broker and registry, two more, and the databases, a run fits into 2
# GB.
OWN_SERVERS_MAX = 2
GRACE_SECONDS = 30
# Exit codes of a test's process.
PASSED, FAILED, SKIPPED = 0, 1, 75
SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Process:
    """Runs `body()` in a child at once. `output`: what it has printed, once it has ended; of a skipped test, the reason."""

    def __init__(self, test, lent, body, seconds_max):
        self.test, self.lent = test, lent
        self.began = time.monotonic()
        self._file = tempfile.TemporaryFile()
        sys.stdout.flush()
        # Until the child listens for itself: the runner's end is not its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.pid = os.fork()
        if self.pid == 0:
            self._run(body, seconds_max)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _run(self, body, seconds_max):
        status = FAILED
        try:
            # Of its own, so that Ctrl-C comes to the runner alone: that tells us.
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that clusters and sidecars go too
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.dup2(self._file.fileno(), 1)
            os.dup2(self._file.fileno(), 2)
            faulthandler.enable()
            faulthandler.dump_traceback_later(seconds_max, exit=True)
            body()
            status = PASSED
        except Unavailable as reason:
            print(reason)
            status = SKIPPED
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def has_ended(self, status):
        """`status`: as wait() returned it."""
        self.status = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - self.began
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._file.seek(0)
        self.output = self._file.read().decode(errors="replace")
        self._file.close()
        if self.status < 0:
            self.output += f"ended by signal {-self.status}\n"


class Processes:
    """A context manager: whoever runs still at its end is told to end, and killed when it does not."""

    def __init__(self, jobs):
        self._jobs = jobs
        self._running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._running.pop(pid).has_ended(status)
            elif time.monotonic() > deadline:
                for pid in self._running:  # it may be waiting within a library, where Python hears nothing
                    os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + GRACE_SECONDS
            else:
                time.sleep(0.05)

    def has_room_for(self, test):
        running = [process.test for process in self._running.values()]
        if not running:
            return True
        if len(running) >= self._jobs or test.alone or any(other.alone for other in running):
            return False
        servers = sum(other.servers for other in running)
        return test.servers == 0 or servers == 0 or servers + test.servers <= OWN_SERVERS_MAX

    def start(self, *arguments):
        process = Process(*arguments)
        self._running[process.pid] = process

    def idle(self):
        return not self._running

    def wait(self):
        """The next that has ended."""
        pid, status = os.wait()
        process = self._running.pop(pid)
        process.has_ended(status)
        return process
