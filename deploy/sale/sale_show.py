"""What a person sees: a line that lives, and a summary that can be read."""

import sys
import time


class Progress:
    """One line that is rewritten on a terminal; a plain line every few seconds elsewhere."""

    def __init__(self, out=sys.stdout, plain_every_s=3.0):
        self._out = out
        self._live = out.isatty()
        self._every = 0.2 if self._live else plain_every_s
        self._start = time.monotonic()
        self._last = 0.0

    def say(self, text):
        """A line that stays."""
        self._clear()
        print(f"{self._clock()}  {text}", file=self._out, flush=True)
        self._last = time.monotonic()

    def show(self, text, at_once=False):
        """The state of things now; most calls print nothing."""
        now = time.monotonic()
        if now - self._last < self._every and not at_once:
            return
        self._last = now
        if self._live:
            self._out.write(f"\r\033[K{self._clock()}  {text}")
            self._out.flush()
        else:
            print(f"{self._clock()}  {text}", file=self._out, flush=True)

    def end(self):
        self._clear()

    def _clear(self):
        if self._live:
            self._out.write("\r\033[K")

    def _clock(self):
        return f"{time.monotonic() - self._start:6.1f} s"


def percentile(values, share):
    """Nearest rank; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(seconds):
    return None if seconds is None else round(seconds * 1000, 1)


def summary(details, broken):
    """The lines of the summary."""
    lines = ["", "The sale", "--------"]
    lines += [f"  {name:<22}{text}" for name, text in details]
    lines += ["", "Promises", "--------"]
    lines += [f"  broken: {line}" for line in broken] or ["  all kept"]
    return lines


def span(values):
    """p50, p99 and the worst of some seconds, for people."""
    if not values:
        return "none measured"
    p50, p99, worst = (milliseconds(value) for value in
                       (percentile(values, 0.5), percentile(values, 0.99), max(values)))
    return f"p50 {p50:,} ms   p99 {p99:,} ms   worst {worst:,} ms"
