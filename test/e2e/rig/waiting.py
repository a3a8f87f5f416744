"""Waits that end."""

import time

# Long enough for two cores that other tests keep busy, too; a test that comes near it is broken anyway.
PATIENCE_SECONDS = 120


def wait_until(condition, what, seconds=PATIENCE_SECONDS):
    """Polls until condition() is true. `what` it waits for: words, or a function that says more at the end of its patience."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what() if callable(what) else what}"
        time.sleep(0.02)
