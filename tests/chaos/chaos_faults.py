"""What goes wrong: a schedule drawn from one seed, and the threads that carry it out."""

import collections
import json
import random
import threading
import time

import redis

import chaos_operators
import chaos_programs
import chaos_servers
import chaos_years
from chaos_world import ACTION_WAIT_S, CONSUMERS, SHARDS, UNDO_S
from harness_modes import REFUSALS

GAP_S = 1.2                  # mean time between faults
SCALES = (1, 8, 2, 4, 6, 3)
# Half of the answers about payments, in every way that the sandbox knows.
LIES = {"slow": 0.04, "never": 0.03, "charge-then-never": 0.03, "reset": 0.05, "charge-then-reset": 0.06, "500": 0.05,
        "500-consumed": 0.05, "500-after-charge": 0.06, "400": 0.01, "400-kept": 0.01, "429": 0.05, "409": 0.04,
        "garbage": 0.04, "wrong-amount": 0.04, "partial": 0.04}
CHARGES = ("unauthorized", "forbidden")     # nobody is refused for it
# Not "disputed" and "failing": they leave money with the shop, until a person decides.
REFUNDS = ("no-balance", "pending", "unauthorized", "forbidden")
CALM = {"latency_ms": 20, "jitter_ms": 120, "slow_ms": 4000, "modes": {}, "reads": 0, "list_late_ms": 0,
        "keep_refused": 1, "keep_invalid": 0, "processing_ms": 3000, "rate_endpoint": 0, "rate_all": 0, "charges": "ok",
        "refunds": "ok", "webhooks": "once"}
TOO_MUCH_DISK = "100000GB"   # no disk has so much free: an alarm
NORMAL_DISK = "50MB"

RETRY_S = 1.0
LONG_MINUTES = 10   # from here on each rare fault must have happened

Fault = collections.namedtuple("Fault", "at name function arguments rare")


# ---- programs ---------------------------------------------------------------------------------------

def kill(storm, kind, number, down_s):
    slot = storm.world.claim_serving(kind, number)
    if slot is None:
        return False
    try:
        slot.kill()
        storm.kills += 1
        storm.pause(down_s)
        slot.start()
    finally:
        storm.world.release(slot)
    return True


def freeze(storm, kind, number, seconds):
    slot = storm.world.claim_serving(kind, number)
    if slot is None:
        return False
    try:
        slot.freeze()
        storm.pause(seconds)
        slot.thaw()
    finally:
        storm.world.release(slot)
    return True


def leave(storm, number, down_s):
    """SIGTERM of a consumer, and another one comes."""
    slot = storm.world.claim_serving("consumer", number)
    if slot is None:
        return False
    try:
        slot.leave()
        wait_gone(storm, [slot])
        storm.pause(down_s)
        slot.start()
    finally:
        storm.world.release(slot)
    return True


def scale(storm, count, seconds):
    """So many consumers for a while; then as many as usual."""
    for target in (count, CONSUMERS):
        slots = [slot for slot in storm.world.consumers if storm.world.claim(slot)]
        try:
            running = [slot for slot in slots if slot.running()]
            busy = len([slot for slot in storm.world.consumers if slot not in slots])
            spare = [slot for slot in slots if not slot.running()]
            for slot in spare[:max(0, target - len(running) - busy)]:
                slot.start()
            surplus = running[max(0, target - busy):]
            for slot in surplus:
                slot.leave()
            wait_gone(storm, surplus)
            for slot in surplus:
                slot.daemon = None
        finally:
            for slot in slots:
                storm.world.release(slot)
        if target == count:
            storm.pause(seconds)
    return True


def wait_gone(storm, slots):
    deadline = time.monotonic() + 30
    while not all(slot.gone() for slot in slots):
        if time.monotonic() > deadline:
            storm.world.problems.append("a consumer did not leave within 30 s of SIGTERM")
            for slot in slots:
                slot.kill()
        time.sleep(0.05)


# ---- wires ------------------------------------------------------------------------------------------

def disturb(storm, kind, number, server, how, seconds, delay_s):
    """One program's connection to one server: reset, refused, delayed, or nothing passes."""
    slot = storm.world.wired_slot(kind, number, server)
    if slot is None:
        return False
    if how == "reset":
        slot.tell(server, "reset")
    elif how == "down":
        slot.tell(server, "down")
        storm.pause(seconds)
        slot.tell(server, "up")
    elif how == "hold":
        slot.tell(server, "hold")
        storm.pause(seconds)
        slot.tell(server, "pass")
    else:
        slot.tell(server, "delay", seconds=delay_s)
        storm.pause(seconds)
        slot.tell(server, "delay", seconds=0)
        if how == "delay and reset":
            slot.tell(server, "reset")
    return True


# ---- servers ----------------------------------------------------------------------------------------

def restart_database(storm):
    return storm.with_server("database", lambda: (storm.world.database.crash(), storm.world.database.start()))


def restart_broker(storm, by_kill):
    return storm.with_server("broker", lambda: (storm.world.server("stop", "broker", kill=by_kill),
                                                storm.world.server("start", "broker")))


def restart_redis(storm, by_kill):
    return storm.with_server("redis", lambda: (storm.world.server("stop", "redis", kill=by_kill),
                                               storm.world.server("start", "redis")))


def flush_redis(storm):
    try:
        redis.Redis.from_url(storm.world.stack.direct["CHECKOUT_REDIS_URL"]).flushall()
    except redis.RedisError:
        return False
    return True


def alarm_disk(storm, seconds):
    """RabbitMQ's disk alarm: publishers are blocked."""
    def alarm():
        try:
            storm.world.broker_control("set_disk_free_limit", TOO_MUCH_DISK)
            storm.pause(seconds)
        finally:
            storm.world.broker_undo("set_disk_free_limit", NORMAL_DISK)
    return storm.with_server("broker", alarm)


# ---- the gateway ------------------------------------------------------------------------------------

def control_gateway(storm, seconds, **modes):
    if not storm.control(**{**CALM, **modes}):
        return False
    refuses = modes.get("charges") == "refused" or any(modes.get("modes", {}).get(mode) for mode in REFUSALS)
    began = time.time()
    storm.pause(seconds)
    storm.control(**CALM)
    if refuses:
        storm.refusing.append((began, time.time()))
    return True


def draw_lies(rng):
    """Lists that are late (by less than we reckon with), keys that keep a 4xx or do not, debits under way for longer
    than a buyer has: these cannot be cancelled."""
    return control_gateway, (rng.uniform(2, 8),), {
        "modes": LIES, "reads": rng.choice((0, 0.2)), "list_late_ms": rng.choice((0, 1500, 4000)),
        "keep_refused": rng.choice((0, 0.5, 1)), "keep_invalid": rng.choice((0, 0.5)),
        "processing_ms": rng.choice((300, 3000, ACTION_WAIT_S * 1000 + 5000)),
        "webhooks": rng.choice(("once", "never", "early", "late", "twice", "shuffled"))}


def draw_limits(rng):
    return control_gateway, (rng.uniform(3, 8),), {"rate_endpoint": rng.choice((15, 25)), "rate_all": rng.choice((25, 100))}


# ---- the schedule -----------------------------------------------------------------------------------

def draw_kill(rng, kind):
    return kill, (kind, rng.randrange(8), rng.choice((0, 0.1, 0.5, 1.5, 4)))


def draw_freeze(rng, kind, longest=12):
    return freeze, (kind, rng.randrange(8), rng.choice((0.3, 1, 2.5, longest / 2, longest)))


def draw_disturb(rng, how):
    kind = rng.choice(("consumer", "consumer", "consumer", "producer", "notifier"))
    server = rng.choice({"consumer": ("broker", "database", "database", "redis", "gateway"),
                         "producer": ("broker", "broker", "database", "redis"),
                         "notifier": ("database", "redis")}[kind])
    return disturb, (kind, rng.randrange(8), server, how, rng.choice((0.5, 2, 5, 8)),
                     rng.choice((0.02, 0.1, 0.3)))


def draw_teller(rng, kind):
    """One of those who tell by mail and webhook dies, stands still, or loses its database."""
    return rng.choice((lambda: draw_kill(rng, kind), lambda: draw_freeze(rng, kind, 5),
                       lambda: (disturb, (kind, 0, "database", rng.choice(("reset", "down", "hold")), rng.choice((0.5, 2, 5)), 0))))()


DRAWS = {
    "mailer": (1.5, lambda rng: draw_teller(rng, "mailer")),
    "webhooks": (1.5, lambda rng: draw_teller(rng, "webhooks")),
    "kill -9 consumer": (10, lambda rng: draw_kill(rng, "consumer")),
    "kill -9 producer": (4, lambda rng: draw_kill(rng, "producer")),
    "kill -9 notifier": (2, lambda rng: draw_kill(rng, "notifier")),
    "kill -9 gateway": (1.5, lambda rng: draw_kill(rng, "sandbox")),
    "freeze consumer": (5, lambda rng: draw_freeze(rng, "consumer")),
    "freeze producer": (2, lambda rng: draw_freeze(rng, "producer", 5)),
    "freeze notifier": (1, lambda rng: draw_freeze(rng, "notifier", 5)),
    "freeze gateway": (1, lambda rng: draw_freeze(rng, "sandbox", 5)),
    "SIGTERM consumer": (3, lambda rng: (leave, (rng.randrange(8), rng.choice((0, 1, 3))))),
    "scale": (1.5, lambda rng: (scale, (rng.choice(SCALES), rng.uniform(2, 8)))),
    "reset a connection": (5, lambda rng: draw_disturb(rng, "reset")),
    "refuse connections": (1.5, lambda rng: draw_disturb(rng, "down")),
    "delay a connection": (2, lambda rng: draw_disturb(rng, "delay")),
    "delay, then reset": (1, lambda rng: draw_disturb(rng, "delay and reset")),
    "swallow a connection": (1.5, lambda rng: draw_disturb(rng, "hold")),
    "Redis FLUSHALL": (1.5, lambda rng: (flush_redis, ())),
    "operator restocks": (2, lambda rng: (chaos_operators.restock, (rng.randrange(18), rng.choice((-2, -1, 1, 2, 5))))),
    "operator refunds": (3, lambda rng: (chaos_operators.refund, (rng.randrange(100), rng.random() < 0.7))),
    "operator pauses an item": (1.5, lambda rng: (chaos_operators.pause_item, (rng.randrange(18),
                                                                               rng.uniform(0.2, 4)))),
    "somebody locks an item's row": (1.5, lambda rng: (chaos_operators.lock_item, (rng.randrange(18),
                                                                                   rng.uniform(0.2, 6)))),
    "operator pauses a shard": (1, lambda rng: (chaos_operators.pause_shard, (rng.randrange(SHARDS),
                                                                              rng.uniform(0.2, 3)))),
    "gateway lies": (2, draw_lies),
    "gateway limits": (0.5, draw_limits),
    "gateway refuses our key": (0.5, lambda rng: (control_gateway, (rng.uniform(1, 4),), {"charges": rng.choice(CHARGES)})),
    "gateway refuses every charge": (0.3, lambda rng: (control_gateway, (rng.uniform(0.3, 1.5),), {"charges": "refused"})),
    "gateway refuses refunds": (1, lambda rng: (control_gateway, (rng.uniform(2, 10),), {"refunds": rng.choice(REFUNDS)})),
    "gateway slow": (1, lambda rng: (control_gateway, (rng.uniform(2, 6),),
                                     {"latency_ms": rng.choice((300, 1000, 2500))})),
    "producer without broker": (0.8, lambda rng: (disturb, ("producer", rng.randrange(8), "broker", "down",
                                                            rng.choice((4, 14)), 0))),
    **chaos_servers.DRAWS,
    **chaos_programs.DRAWS,
    **chaos_years.DRAWS,
}

# Those that take long: at least once in a run, and so often in a minute.
RARE = {
    "restart Redis": (0.5, lambda rng: (restart_redis, (rng.random() < 0.5,))),
    "crash PostgreSQL": (0.5, lambda rng: (restart_database, ())),
    "restart RabbitMQ": (0.35, lambda rng: (restart_broker, (rng.random() < 0.5,))),
    "disk alarm": (0.25, lambda rng: (alarm_disk, (rng.uniform(2, 6),))),
    **chaos_servers.RARE,
    **chaos_programs.RARE,
    **chaos_years.RARE,
}


def schedule(seed, seconds, draws=None, rare=None, gap_s=GAP_S):
    """Faults in the order of their times. `draws`, `rare`: others than the usual ones."""
    rng = random.Random(f"faults {seed}")
    draws = DRAWS if draws is None else draws
    rare = RARE if rare is None else rare
    names = sorted(draws)
    plan, at = [], 2.0
    while at < seconds - 3:
        name = rng.choices(names, [draws[name][0] for name in names])[0]
        plan.append((at, name, draws[name][1](rng), False))
        at += min(rng.expovariate(1 / gap_s), 4 * gap_s)
    for name in sorted(rare):
        rate, draw = rare[name]
        for _ in range(max(1, round(rate * seconds / 60))):
            plan.append((rng.uniform(0.08, 0.8) * seconds, name, draw(rng), True))
    return [Fault(at, name, drawn[0], drawn[1:], rare) for at, name, drawn, rare in sorted(plan, key=lambda f: f[:2])]


class Storm:
    """Carries a schedule out, each fault in a thread of its own, with a line for each in `log`; `fired`
    and `skipped` by name. `kept`: a file for what the database knows of orders before they are purged."""

    def __init__(self, world, plan, log, kept=None):
        self.world, self.plan, self._log, self._kept = world, plan, log, kept
        self.fired, self.skipped = collections.Counter(), collections.Counter()
        self.kills = 0
        self.refusing = []      # (from, to) by the wall clock: the gateway refused payments whose cards pay
        self._over = threading.Event()
        self._servers = {name: threading.Lock() for name in ("database", "broker", "redis", "shards")}
        self._threads = []
        self._leader = threading.Thread(target=self._lead)

    def start(self):
        self.control(**CALM)
        self._leader.start()

    def stop(self):
        """No further faults; those at work end now."""
        self._over.set()
        if self._leader.ident is not None:
            self._leader.join()
        for thread in self._threads:
            thread.join(2 * UNDO_S)
        self.control(**CALM)

    def missing(self, minutes):
        """Rare faults that a run of this length owes, and that never disturbed anything."""
        if minutes < LONG_MINUTES:
            return []
        return sorted({fault.name for fault in self.plan if fault.rare and self.fired[fault.name] == 0})

    def pause(self, seconds):
        self._over.wait(seconds)

    def is_over(self):
        return self._over.is_set()

    def keep(self, lines):
        self._kept.write("".join(json.dumps(line) + "\n" for line in lines))
        self._kept.flush()

    def _lead(self):
        began = time.monotonic()
        for fault in self.plan:
            if self._over.wait(max(0.0, began + fault.at - time.monotonic())):
                return
            thread = threading.Thread(target=self._fire, args=(fault,))
            self._threads.append(thread)
            thread.start()

    def _fire(self, fault):
        positional, named = fault.arguments[0], fault.arguments[1] if len(fault.arguments) > 1 else {}
        began = time.monotonic()
        try:
            done = fault.function(self, *positional, **named)
            while not done and fault.rare and not self._over.wait(RETRY_S):  # until there is something to disturb
                began = time.monotonic()
                done = fault.function(self, *positional, **named)
            (self.fired if done else self.skipped)[fault.name] += 1
        except Exception as error:
            done = None
            self.world.problems.append(f"{fault.name}: {error!r}")
        self._log.write(json.dumps({"began": began, "ended": time.monotonic(), "fault": fault.name,
                                    "arguments": [*positional, named], "done": done}) + "\n")

    def with_server(self, which, work):
        """One thing at a time with each server."""
        if not self._servers[which].acquire(blocking=False):
            return False
        try:
            work()
        finally:
            self._servers[which].release()
        return True

    def control(self, **modes):
        """POST /_control of the gateway, which may be dead or frozen just now."""
        try:
            self.world.stack.gateway.control(**modes)
        except (OSError, AssertionError):
            return False
        return True


