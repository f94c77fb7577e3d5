"""Waiting for a condition, never for a time; and how long a call takes, on a machine that others use, too."""

import statistics
import time

SLOW = 4            # so many times slower than one with nothing else to do
PATIENCE_S = 120    # … but longer than this only where it is asked for


def timed(call, count):
    """Calls it so often, one after the other: (what it returned, the seconds that it usually took). A machine that stands still
    for a moment changes the median of some calls little, and one call much."""
    returned, took = [], []
    for _ in range(count):
        began = time.monotonic()
        returned.append(call())
        took.append(time.monotonic() - began)
    return returned, statistics.median(took)


def timed_beside(call, other, count):
    """Calls both in turn, so often: (what the first one returned, by how many seconds it usually took longer than the other)."""
    returned, took, others = [], [], []
    for _ in range(count):
        (value,), seconds = timed(call, 1)
        returned.append(value)
        took.append(seconds)
        others.append(timed(other, 1)[1])
    return returned, statistics.median(took) - statistics.median(others)


def quickest(seconds, attempt, tries=10):
    """Of some tries the quickest counts, since others on this machine only add to the time: returns once attempt() takes, or
    returns as a number of seconds, less than this; an AssertionError names all times."""
    times = []
    for _ in range(tries):
        began = time.monotonic()
        said = attempt()
        times.append(said if isinstance(said, float) else time.monotonic() - began)
        if times[-1] < seconds:
            return
    raise AssertionError(f"never within {seconds:g} s; it took {', '.join(f'{each:.2f}' for each in times)} s")


def wait_within(seconds, condition, what="the condition", interval=0.02):
    """As wait_until(), where what happens later happens for another reason."""
    deadline = time.monotonic() + seconds
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
            raise AssertionError(f"not within {seconds:g} s: {what}{because}")
        time.sleep(interval)
        interval = min(interval * 1.3, 0.25)


def wait_until(condition, timeout=30.0, what="the condition", interval=0.02):
    """Returns the first true value of condition(); an AssertionError says what was missing.

    `timeout` is what a machine needs at most that has nothing else to do: a slow one has SLOW times as long, so nothing is
    promised by it. `what` is a text, or a function that makes one at the end. An AssertionError or OSError inside the
    condition counts as "not yet" and is shown at the end.
    """
    return wait_within(max(timeout, min(SLOW * timeout, PATIENCE_S)), condition, what, interval)
