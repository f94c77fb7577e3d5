"""Seeded bugs (common/testing/seeded_bug.c), and the faults that bring each of them to light."""

import json
import os
import subprocess

import psycopg2

import chaos_failover
import chaos_faults as faults
import chaos_operators
from chaos_world import CONSUMERS

KILLS = {"kill -9 consumer": (1, lambda rng: (faults.kill, ("consumer", rng.randrange(8),
                                                           rng.choice((0, 0.2, 0.6)))))}
# Others take over after 5 s; the broker feeds the frozen one until its heartbeats have been missed.
LONG_FREEZES = {"freeze consumer": (1, lambda rng: (faults.freeze, ("consumer", rng.randrange(8),
                                                                   rng.uniform(5.5, 8))))}
SHORT_FREEZES = {"freeze consumer": (1, lambda rng: (faults.freeze, ("consumer", rng.randrange(8),
                                                                    rng.uniform(0.5, 2))))}
LEAVES = {"SIGTERM consumer": (2, lambda rng: (faults.leave, (rng.randrange(8), 0.5))),
          "delay a connection": (1, lambda rng: (faults.disturb, ("consumer", rng.randrange(8), "database",
                                                                  "delay", 6, 0.2)))}
LIES = {"gateway lies": (1, lambda rng: (faults.control_gateway, (rng.uniform(2, 4),),
                                         {"modes": faults.LIES}))}
CUTS = {"delay, then reset": (4, lambda rng: (faults.disturb, ("producer", rng.randrange(8), "broker",
                                                               "delay and reset", rng.uniform(0.5, 2), 0.3))),
        "kill -9 producer": (1, lambda rng: faults.draw_kill(rng, "producer"))}
LOCKS = {"somebody locks an item's row": (1, lambda rng: (chaos_operators.lock_item, (rng.randrange(4),
                                                                                      rng.uniform(0.3, 1.5))))}


def old_primary_and_newcomers(storm):
    """Whoever starts while the old primary is there may begin with it."""
    def replace_consumers():
        for number in range(CONSUMERS):
            faults.kill(storm, "consumer", number, 0)
    return chaos_failover.old_primary_returns(storm, 0, 8, replace_consumers)


OLD_PRIMARIES = {"an old primary comes back": (1, lambda rng: (old_primary_and_newcomers, ()))}

# name → (draws as in chaos_faults.DRAWS, mean time between faults)
FAVOURED = {
    "ack-before-commit": (KILLS, 0.8),
    "no-fence": (LONG_FREEZES, 5.0),  # most members stay, to take over
    "no-epoch-bump": (KILLS, 1.5),
    "basic-cancel": (LEAVES, 1.0),
    "nack-requeue": (SHORT_FREEZES, 0.8),
    "fresh-key": (LIES, 2.0),
    "early-202": (CUTS, 1.0),
    "early-watermark": (KILLS, 0.8),
    "unfair-promotion": (KILLS, 2.0),
    "held-not-released": (KILLS, 2.0),
    "eager-standby": (KILLS, 1.5),
    "overtaking": (LOCKS, 0.6),
    "old-primary": (OLD_PRIMARIES, 2.0),
}
FAILOVER = ("old-primary",)     # need a standby


def known(build):
    """name → what checkout-seeded-bugs of this build tells about the bug."""
    program = os.path.join(build, "bin", "checkout-seeded-bugs")
    if not os.access(program, os.X_OK):
        raise SystemExit(f"{build} takes no bugs; build the preset: cmake --preset seeded-bugs && "
                         "cmake --build --preset seeded-bugs")
    told = subprocess.run([program], check=True, text=True, stdout=subprocess.PIPE).stdout
    return {bug["name"]: bug for bug in json.loads(told)}


def schedule(name, seed, seconds):
    draws, gap_s = FAVOURED[name]
    return faults.schedule(seed, seconds, draws=draws, rare={}, gap_s=gap_s)


def sow(url, edits):
    """Changes functions in the test's database as the bug asks; each text must be there, once."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for edit in edits:
                cursor.execute("select pg_get_functiondef(p.oid) from pg_proc p where p.proname = %s and "
                               "p.pronamespace = 'checkout'::regnamespace", (edit["function"],))
                definitions = cursor.fetchall()
                if len(definitions) != 1 or definitions[0][0].count(edit["find"]) != 1:
                    raise SystemExit(f"checkout.{edit['function']} is not what the bug knows: "
                                     f"“{edit['find']}” must be there once")
                cursor.execute(definitions[0][0].replace(edit["find"], edit["replace"]))
    finally:
        connection.close()
