"""Waiting for a condition, never for a time; and how long a call takes."""

import statistics
import time


def timed(call, count):
    """Calls it so often, one after the other: (what it returned, the seconds that it usually took). A machine that stands still
    for a moment changes the median of some calls little, and one call much."""
    returned, took = [], []
    for _ in range(count):
        began = time.monotonic()
        returned.append(call())
        took.append(time.monotonic() - began)
    return returned, statistics.median(took)


def wait_until(condition, timeout=30.0, what="the condition", interval=0.02):
    """Returns the first true value of condition(); an AssertionError says what was missing.

    `what` is a text, or a function that makes one at the end. An AssertionError or OSError inside the
    condition counts as "not yet" and is shown at the end.
    """
    deadline = time.monotonic() + timeout
    problem = None
    while True:
        try:
            value = condition()
            problem = None
            if value:
                return value
        except (AssertionError, OSError) as error:
            value, problem = None, error
        if time.monotonic() >= deadline:
            because = f" ({problem})" if problem else f" (last value: {value!r})"
            what = what() if callable(what) else what
            raise AssertionError(f"not within {timeout:g} s: {what}{because}")
        time.sleep(interval)
        interval = min(interval * 1.3, 0.25)
