"""What operators do in years, in minutes: orders that ended long ago are purged, and the number of shards changes."""

import json
import subprocess

import psycopg2

from chaos_sockets import FINAL
from chaos_world import harness

OLDEST = 120         # so many orders become old at once
ENDED_S = 15         # ago, at least: their buyers have heard
AGE = "interval '400 days'"
# What the auditor asks of an order: it is kept before the order becomes old.
KEPT = ("orders", "order_events", "payments", "refunds", "commands")
AGED = ("orders set created_at = created_at - {0}, updated_at = updated_at - {0}, accepted_at = accepted_at - {0}",
        "order_events set created_at = created_at - {0}",
        "payments set created_at = created_at - {0}, updated_at = updated_at - {0}",
        "refunds set created_at = created_at - {0}, updated_at = updated_at - {0}",
        "returns set created_at = created_at - {0}",
        "mails set created_at = created_at - {0}, ended_at = ended_at - {0}",
        "hook_deliveries set ended_at = ended_at - {0}",
        "commands set created_at = created_at - {0}, finished_at = finished_at - {0}")
# What failed for good goes with its order; here it is tried again at the end of the storm.
CHOSEN = """select order_id from orders o
 where status = any (%s) and created_at > now() - interval '1 day' and updated_at < now() - %s * interval '1 s'
   and not exists (select from mails m where m.order_id = o.order_id and m.state <> 'sent')
   and not exists (select from hook_deliveries d where d.order_id = o.order_id and d.state <> 'sent')
 order by created_at limit %s for update skip locked"""
TRIES, AGAIN_S = 60, 1.0


def age(storm):
    """The oldest orders that ended become 400 days older. Returns how many."""
    session = psycopg2.connect(storm.world.stack.direct["CHECKOUT_DATABASE_URL"], connect_timeout=3,
                               options="-csearch_path=checkout -clock_timeout=1s -cstatement_timeout=5s")
    try:
        with session, session.cursor() as cursor:
            cursor.execute(CHOSEN, (list(FINAL), ENDED_S, OLDEST))
            ids = [order for order, in cursor.fetchall()]
            rows = []
            for table in KEPT:
                cursor.execute(f"select row_to_json(t)::text from {table} t where order_id = any (%s::uuid[])", (ids,))
                rows += [{"table": table, "row": json.loads(row)} for row, in cursor.fetchall()]
            storm.keep(rows)    # before the commit: whoever is purged is kept
            for change in AGED:
                cursor.execute(f"update {change.format(AGE)} where order_id = any (%s::uuid[])", (ids,))
            return len(ids)
    finally:
        session.close()


def purge(storm):
    """Some orders become old, and `checkoutctl purge` takes those of which nothing may still come."""
    try:
        if age(storm) == 0:
            return False
    except psycopg2.Error:
        return False
    done = storm.world.stack.ctl("purge", "--older-than", "180d", "--share", "100", "--json", check=False, timeout=110)
    return done.returncode == 0 and json.loads(done.stdout)["purged"] > 0


def reshard(storm, to, dies_after):
    """To another number of shards. The first process dies on the way, and another one goes on; what fails before the
    tables have moved is undone."""
    done = []

    def work():
        world = storm.world
        first = subprocess.Popen([harness.program("checkoutctl"), "reshard", "--to", str(to)],
                                 env=harness.program_environment(world.stack.settings), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            first.wait(dies_after)
        except subprocess.TimeoutExpired:
            first.kill()
            first.wait()
            storm.kills += 1
        for _ in range(TRIES):
            if finish_reshard(world) or storm.is_over():
                break
            storm.pause(AGAIN_S)
        done.append(world.follow_shards() == to)
    try:
        return storm.with_server("shards", work) and done[0]
    except psycopg2.Error:
        return False


def finish_reshard(world):
    """Whether no change of the number of shards is under way, after trying to end one that is."""
    try:
        if not world.stack.ctl("reshard", check=False, timeout=110).returncode:
            return True
        return harness.query_once(world.stack.direct["CHECKOUT_DATABASE_URL"], "select 1 from checkout.show_reshard()",
                                  connect_timeout=3) == []
    except (psycopg2.Error, subprocess.TimeoutExpired):
        return False


def finish(world):
    """What the storm left half done; everything is well by now."""
    harness.wait_until(lambda: finish_reshard(world), 120, "the change of the number of shards to end")
    world.follow_shards()


DRAWS = {}
RARE = {
    "operator purges": (1.5, lambda rng: (purge, ())),
    "operator changes the number of shards": (0.6, lambda rng: (reshard, (rng.choice((2, 4, 8, 32)),
                                                                         rng.choice((0.3, 2, 8, 12, 60))))),
}
