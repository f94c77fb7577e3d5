"""Faults of one program's surroundings: its log's reader, one of a server's addresses, a start without a broker."""

import contextlib

LOST = "checkout_log_lines_lost_total"
SAY_S = 0.3     # between the losses that give a program something to log


def lost_lines(slot):
    """None if it does not answer just now."""
    with contextlib.suppress(OSError, AssertionError, LookupError):
        return slot.daemon.metric(LOST)
    return None


def stall_log(storm, kind, number, seconds):
    """Nobody reads its log; it has something to say all the while. Done only if lines were lost."""
    slot = storm.world.claim_serving(kind, number)
    if slot is None:
        return False
    before = lost_lines(slot)
    try:
        slot.daemon.reader.stall()
        for _ in range(round(seconds / SAY_S)):
            slot.tell("redis", "reset")
            storm.pause(SAY_S)
        after = lost_lines(slot)
    finally:
        slot.read_log()
        storm.world.release(slot)
    return before is not None and after is not None and after > before


def mute_address(storm, kind, number, server, which, seconds):
    """All connections are lost, and one of the server's addresses takes new ones and never says a word."""
    slot = storm.world.wired_slot(kind, number, server)
    if slot is None or len(slot.wires[server]) < 2:
        return False
    mute = slot.wires[server][which % len(slot.wires[server])]

    def work():
        slot.tell(server, "reset")
        try:
            storm.world.wires.tell(mute, "hold")
            storm.pause(seconds)
        finally:
            storm.world.wires.tell(mute, "pass")
    if server == "database" and storm.world.pair is not None:   # who reaches only an old primary serves nothing
        return storm.with_server(server, work)
    work()
    return True


def start_without(storm, kind, number, server, seconds):
    """It dies, and starts while it does not reach this server."""
    slot = storm.world.claim_serving(kind, number)
    if slot is None:
        return False
    try:
        slot.kill()
        storm.kills += 1
        slot.tell(server, "down")
        slot.start()
        storm.pause(seconds)
    finally:
        slot.tell(server, "up")
        storm.world.release(slot)
    return True


def draw_mute(rng):
    kind, server = rng.choice((("consumer", "broker"), ("consumer", "database"), ("producer", "broker"),
                               ("producer", "database"), ("notifier", "database")))
    return mute_address, (kind, rng.randrange(8), server, rng.randrange(2), rng.choice((2, 6, 14)))


def draw_stall(rng, kinds, seconds):
    return stall_log, (rng.choice(kinds), rng.randrange(8), rng.choice(seconds))


PROGRAMS = ("consumer", "consumer", "producer", "notifier")
DRAWS = {
    "log reader stalls": (0.8, lambda rng: draw_stall(rng, PROGRAMS, (6, 14))),
    "one address is mute": (1, draw_mute),
    "producer starts without broker": (0.6, lambda rng: (start_without, ("producer", rng.randrange(8), "broker",
                                                                        rng.choice((4, 14))))),
}

# At least once in a run, and so often in a minute.
RARE = {
    f"log reader of a {kind} stalls, long": (0.1, lambda rng, kind=kind: draw_stall(rng, (kind,), (20,)))
    for kind in ("consumer", "producer", "notifier")
}
