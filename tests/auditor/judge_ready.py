"""B1: who says "ready" does its job; and `doctor` does not say that all is well while somebody's is not done.

The log ready.jsonl has a line for each answer of /readyz, asked each second, and for each run of doctor:
{"program", "kind", "pid", "asked", "at", "wall", "status", "frozen"}; status 0: no answer. Of doctor, 200 is
"all is well". A job that is not done is an interval of time:

    consumer  orders of a shard wait, and nothing of the shard is committed
    producer  orders are sent, and none is accepted
    notifier  a buyer's socket is open, and the end of his order is not on it
"""

import bisect
import collections

from evidence import FINAL, Violation, seconds

LIMIT_S = 10.0     # the promise
SLACK_S = 3.0      # an answer each second, and the program's own clock starts later than ours
POOL_S = 20.0      # with all consumers ready, whoever owns the shard
COMMIT_S = 15.0    # an event bears the time at which its transaction began; so long may that one last
GAP_S = 5.0        # answers further apart than this are no proof of what was said between them
REFUSALS = 20      # so many orders in a row make a door that refuses

Undone = collections.namedtuple("Undone", "kind who begins ends text")


def judge(found):
    """Violations of one run; none without a log."""
    if not found.ready:
        return []
    offset = found.ready[0]["wall"] - found.ready[0]["at"]
    until = max(line["at"] for line in found.ready)
    undone = [*undecided(found, offset, until), *refusing(found), *unheard(found, offset, until)]
    violations = []
    for job in undone:
        violations += judge_job(found, job)
    return violations + list(judge_doctor(found, undone)) + list(judge_silence(found.ready))


# ---- what was said ----------------------------------------------------------------------------------

def spans(lines, said):
    """(first, last, program) of the answers in a row that `said` takes, from the same process."""
    of_program = collections.defaultdict(list)
    for line in lines:
        of_program[line["program"]].append(line)
    for program, answers in of_program.items():
        first = last = pid = None
        for line in sorted(answers, key=lambda line: line["at"]):
            goes_on = first is not None and line["pid"] == pid and line["asked"] - last <= GAP_S
            if first is not None and not (goes_on and said(line)):
                yield first, last, program
                first = None
            if said(line):
                first = line["at"] if first is None else first
                last, pid = line["at"], line["pid"]
        if first is not None:
            yield first, last, program


def is_ready(line):
    return line["status"] == 200


def all_ready(lines, kind):
    """(first, last) of the times when each program of the kind that answered said "ready"."""
    mine = [dict(line, program=kind, pid=0) for line in lines if line["kind"] == kind]
    return [(first, last) for first, last, _ in spans(mine, is_ready)]


def common(begins, ends, first, last):
    return min(ends, last) - max(begins, first)


# ---- what was not done ------------------------------------------------------------------------------

def undecided(found, offset, until):
    """Times in which a shard had orders to decide, and no commit."""
    waiting = collections.defaultdict(list)     # shard → (accepted, decided, order)
    for order_id, wish in found.wish_of.items():
        events = found.history.get(order_id)
        shard = events[0]["shard"] if events else found.items.get(wish.sku, {}).get("shard")
        decided = seconds(events[0]["created_at"]) - offset if events else until
        if shard is not None:
            waiting[shard].append((wish.accepted, decided, order_id))
    commits = collections.defaultdict(list)
    for event in found.tables["order_events"]:
        commits[event["shard"]].append(seconds(event["created_at"]) - offset)
    paused = pauses(found, offset, until)
    for shard, orders in waiting.items():
        times = [float("-inf"), *sorted(commits[shard]), until]
        for before, after in zip(times, times[1:]):
            if after - before <= LIMIT_S:
                continue
            held = [order for order in orders if order[0] < after <= order[1]
                    and not is_paused(paused, shard, found.wish_of[order[2]].sku, before, after)]
            if held and after - max(before, min(held)[0]) > LIMIT_S:
                yield Undone("consumer", shard, max(before, min(held)[0]), after,
                             f"orders of shard {shard} waited, {min(held)[2]} first")


def pauses(found, offset, until):
    """(item or shard) → [begins, ends] of its pauses."""
    paused = collections.defaultdict(list)
    for command in found.commands:
        what = command["sku"] if command["sku"] is not None else command["shard"]
        at = seconds(command["finished_at"]) - offset
        if command["kind"] == "pause":
            paused[what].append([at, until])
        elif command["kind"] == "resume" and paused[what]:
            paused[what][-1][1] = min(paused[what][-1][1], at)
    return paused


def is_paused(paused, shard, sku, begins, ends):
    return any(common(begins, ends, *pause) > 0 for what in (shard, sku) for pause in paused.get(what, ()))


def refusing(found):
    """Times in which many orders were sent, and the door accepted none."""
    accepted = sorted(wish.accepted for wish in found.wish_of.values())
    runs = collections.defaultdict(list)        # how many were accepted before → times of refusals
    for sent, answered in found.refused:
        before = bisect.bisect_right(accepted, sent)
        if before == bisect.bisect_right(accepted, answered):
            runs[before].append(answered)
    for times in runs.values():
        if len(times) >= REFUSALS and max(times) - min(times) > LIMIT_S:
            yield Undone("producer", None, min(times), max(times), f"the door refused {len(times)} orders in a row")


def unheard(found, offset, until):
    """Times in which a buyer's socket was open without the end of his order."""
    seen, opened, sockets = {}, {}, collections.defaultdict(list)   # user → [open, close]
    for frame in found.frames:
        user = frame["user"]
        if frame["saw"] == "open":
            sockets[user].append([frame["at"], until])
            opened.setdefault(user, frame["at"])
        elif frame["saw"] == "close" and sockets[user]:
            sockets[user][-1][1] = frame["at"]
        elif frame["saw"] == "frame":
            seen.setdefault((user, int(frame["event"]["id"])), frame["at"])
    for order_id, wish in found.wish_of.items():
        for event in found.history.get(order_id, ()):
            at = seconds(event["created_at"]) - offset
            if event["status"] not in FINAL or at < opened.get(wish.user, until):
                continue
            heard = seen.get((wish.user, event["event_id"]), until)
            for begins, ends in sockets[wish.user]:
                if common(at + COMMIT_S, heard, begins, ends) > LIMIT_S:
                    yield Undone("notifier", wish.user, max(at + COMMIT_S, begins), min(heard, ends),
                                 f"{wish.user} did not hear that {order_id} is {event['status']}")


# ---- who is to blame --------------------------------------------------------------------------------

def judge_job(found, job):
    """Somebody whose job it was said "ready" all the while."""
    words = collections.defaultdict(float)       # program → longest such time
    for first, last, program in spans([line for line in found.ready if line["kind"] == job.kind], is_ready):
        for begins, ends in held_by(found, job, program):
            words[program] = max(words[program], common(max(begins, job.begins), min(ends, job.ends), first, last))
    for program, lasted in sorted(words.items()):
        if job.kind == "consumer" and lasted > LIMIT_S + SLACK_S:
            yield Violation("B1", f"{program} said ready for {lasted:.1f} s while {job.text}", job._asdict())
    most = max((common(job.begins, job.ends, *span) for span in all_ready(found.ready, job.kind)), default=0.0)
    if most > (POOL_S if job.kind == "consumer" else LIMIT_S) + SLACK_S:
        yield Violation("B1", f"every {job.kind} said ready for {most:.1f} s while {job.text}", job._asdict())


def held_by(found, job, program):
    """(begins, ends) of the times when the shard was this program's."""
    if job.kind != "consumer":
        return
    offset = found.ready[0]["wall"] - found.ready[0]["at"]
    takes = sorted((take for take in found.tables["take_overs"] if take["shard"] == job.who),
                   key=lambda take: take["take_over_id"])
    for take, after in zip(takes, [*takes[1:], None]):
        if take["name"] != program:
            continue
        ends = [seconds(at) - offset for at in (take.get("released_at"), after and after["taken_at"]) if at]
        yield seconds(take["taken_at"]) - offset, min(ends, default=float("inf"))


def judge_doctor(found, undone):
    for line in found.ready:
        if line["kind"] != "doctor" or line["status"] != 200:
            continue
        for job in undone:
            if job.begins <= line["asked"] - LIMIT_S - SLACK_S and line["at"] <= job.ends:
                yield Violation("B1", f"doctor said that all is well while {job.text}",
                                {**job._asdict(), "asked": line["asked"]})


def judge_silence(lines):
    """A process that runs answers at its admin address, whatever its servers do."""
    asked = [line for line in lines if line["kind"] != "doctor"]
    for first, last, program in spans(asked, lambda line: line["status"] == 0 and not line["frozen"]):
        if last - first > LIMIT_S:
            yield Violation("B1", f"{program} did not answer at its admin address for {last - first:.1f} s",
                            {"begins": first, "ends": last})
