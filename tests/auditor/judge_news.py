"""P6: every buyer who listens is told the end of each of his orders, in order; nobody else is. A place in line that
was told never rises. Who must begin anew, since events behind the cursor were purged, knows nothing of before: places
are told again, and ends of purged orders are not."""

import collections

from evidence import FINAL, Violation, seconds


def judge(found):
    violations = []
    table = {event["event_id"]: event for event in found.tables["order_events"]}
    seen = collections.defaultdict(set)      # user → ids of events
    progress = {}                            # (socket, order) → highest sequence
    known = collections.defaultdict(set)     # socket → ids
    places = {}                              # order → the place that was told last
    present = {}                             # user → whether the socket of the last line is open
    anew = {}                                # user → when they had to begin anew at last
    for frame in found.frames:
        user = frame["user"]
        present[user] = frame["saw"] not in ("close", "anew")
        if frame["saw"] == "anew":
            anew[user] = frame["wall"]
            for order_id in [order_id for order_id in places if owner_of(found, order_id) == user]:
                del places[order_id]
        if "event" in frame and not repeated(known, frame):
            violations += judge_place(places, frame, frame["event"])
        if frame["saw"] != "frame":
            continue
        event = frame["event"]
        violations += judge_frame(found, table, frame, event)
        number, order_id = int(event["id"]), event["subject"]
        place = (frame["socket"], order_id)
        if number not in known[frame["socket"]] and event["sequence"] <= progress.get(place, 0):
            violations.append(Violation(
                "P6", f"{user} was told of {order_id} against its order",
                {"socket": frame["socket"], "event": number, "sequence": event["sequence"],
                 "told before": progress[place]}))
        progress[place] = max(progress.get(place, 0), event["sequence"])
        known[frame["socket"]].add(number)
        seen[user].add(number)
    violations += judge_ends(found, seen, present, anew)
    return violations


def owner_of(found, order_id):
    wish, row = found.wish_of.get(order_id), found.orders.get(order_id)
    return wish.user if wish else row["user_id"] if row else None


def judge_frame(found, table, frame, event):
    """It is for this user, and says what was committed."""
    user, order_id = frame["user"], event["subject"]
    owner = owner_of(found, order_id)
    if owner != user:
        yield Violation("P6", f"{user} was told of {order_id}, an order of {owner}", {"frame": frame})
    committed = table.get(int(event["id"]))
    told = (order_id, event["sequence"], event["data"]["status"], event["data"].get("reason"))
    if committed is None:
        yield Violation("P6", f"{user} was told of an event that was never committed", {"frame": frame})
    elif told != (committed["order_id"], committed["sequence"], committed["status"], committed["reason"]):
        yield Violation("P6", f"{user} was told something else than was committed",
                        {"frame": frame, "committed": committed})


def repeated(known, frame):
    """An event comes at least once; whoever has seen its id on this socket knows that its place is of then."""
    return frame["saw"] == "frame" and int(frame["event"]["id"]) in known[frame["socket"]]


def judge_place(places, frame, event):
    """Whatever socket, program or event tells it."""
    place, order_id = event["data"].get("place_in_line"), event["subject"]
    if place is None:
        return
    if place > places.get(order_id, place):
        yield Violation("P6", f"{frame['user']} was told place {place} of {order_id}, after {places[order_id]}",
                        {"frame": frame})
    places[order_id] = place


def judge_ends(found, seen, present, anew):
    """Who listens at the end has seen the last event of each of his accepted orders."""
    for order_id, wish in found.wish_of.items():
        events = found.history.get(order_id)
        if not present.get(wish.user) or not events or events[-1]["status"] not in FINAL:
            continue
        if order_id in found.purged and seconds(events[-1]["created_at"]) < anew.get(wish.user, 0):
            continue
        if events[-1]["event_id"] not in seen[wish.user]:
            yield Violation("P6", f"{wish.user} was never told that {order_id} is {events[-1]['status']}",
                            {"event": events[-1]})
