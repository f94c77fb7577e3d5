"""P5: one session at a time writes a shard, under an epoch of its own."""

import collections

from evidence import Violation


def judge(found):
    violations = []
    takes = collections.defaultdict(list)
    for take in sorted(found.tables["take_overs"], key=lambda row: row["take_over_id"]):
        takes[take["shard"]].append(take)
    events = collections.defaultdict(list)
    for event in found.events():
        events[event["shard"]].append(event)
    for shard in sorted({*takes, *events}):
        violations += judge_takes(shard, takes[shard])
        violations += judge_events(shard, takes[shard], events[shard])
    return violations


def judge_takes(shard, takes):
    """Each take-over has an epoch above the one before."""
    for before, after in zip(takes, takes[1:]):
        if after["epoch"] <= before["epoch"]:
            yield Violation("P5", f"shard {shard} was taken over without a new epoch",
                            {"before": before, "after": after})


def judge_events(shard, takes, events):
    """Epochs never go back, and each is written by the session that took the shard over under it."""
    holders = collections.defaultdict(set)
    for take in takes:
        holders[take["epoch"]].add(take["backend"])
    newest = None
    for event in events:
        if event["epoch"] is None:
            yield Violation("P5", f"an event of shard {shard} was written without the fence", {"event": event})
            continue
        if newest is not None and event["epoch"] < newest["epoch"]:
            yield Violation("P5", f"shard {shard}: a write of epoch {event['epoch']} after one of "
                                  f"{newest['epoch']}", {"event": event, "the one before": newest})
        else:
            newest = event
        if event["backend"] not in holders[event["epoch"]]:
            yield Violation("P5", f"shard {shard}: a session wrote under an epoch that it does not hold",
                            {"event": event, "sessions of the epoch": sorted(holders[event["epoch"]]),
                             "take-overs": [(t["epoch"], t["name"], t["backend"]) for t in takes[-3:]]})
