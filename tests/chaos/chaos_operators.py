"""What operators do meanwhile, by checkoutctl: they restock, refund, and pause and resume items and shards."""

import psycopg2

PATIENCE = "3s"      # of a command for its result; it stays, and is executed later


def newest(storm, number):
    """The number-th of the newest items; None: nobody can tell just now."""
    try:
        rows = storm.world.stack.sql("select sku from items where sku not like 'ample-%%' "
                                     "order by created_at desc, sku limit 1 offset %s", (number,))
    except psycopg2.Error:
        return None
    return rows[0][0] if rows else None


def ask(storm, *words):
    """Whether the command was executed in time. It may have been written all the same."""
    return storm.world.stack.ctl(*words, "--timeout", PATIENCE, check=False).returncode == 0


def restock(storm, number, units):
    """More units, or fewer; which is refused if they are held or sold."""
    sku = newest(storm, number)
    return sku is not None and ask(storm, "items", "restock", sku, str(units))


def refund(storm, number, restock_too):
    """One of the newest confirmed orders."""
    try:
        rows = storm.world.stack.sql("select order_id::text from orders where status = 'confirmed' "
                                     "order by updated_at desc limit 1 offset %s", (number,))
    except psycopg2.Error:
        return False
    return bool(rows) and ask(storm, "orders", "refund", rows[0][0], *(["--restock"] if restock_too else []))


def pause_item(storm, number, seconds):
    sku = newest(storm, number)
    return sku is not None and pause(storm, seconds, sku)


def pause_shard(storm, number, seconds):
    return pause(storm, seconds, "--shard", str(number % storm.world.stack.shards))


def pause(storm, seconds, *what):
    """Pauses for a while. If the resume is not heard now, resume_all() comes."""
    done = ask(storm, "pause", *what)
    storm.pause(seconds)
    return ask(storm, "resume", *what) and done


def lock_item(storm, number, seconds):
    """Somebody's open session holds the row of an item."""
    sku = newest(storm, number)
    if sku is None:
        return False
    try:
        session = psycopg2.connect(storm.world.stack.direct["CHECKOUT_DATABASE_URL"], connect_timeout=3,
                                   options="-clock_timeout=3s")
    except psycopg2.Error:
        return False
    try:
        session.cursor().execute("select 1 from checkout.items where sku = %s for update", (sku,))
        storm.pause(seconds)
    except psycopg2.Error:
        return False
    finally:
        session.close()
    return True


def resume_all(world):
    """What is still paused, or will be by a command that waits, goes on."""
    paused = world.stack.sql(
        "select distinct sku, null::integer from items where paused union "
        "select sku, case when sku is null then shard end from commands where kind = 'pause' and state = 'pending'"
        " union select null, shard from shards join service using (shards) where paused")
    for sku, shard in paused:
        world.stack.ctl("resume", *([sku] if sku else ["--shard", str(shard)]))


def refund_again(world):
    """What the gateway had no balance for, and is put off until tomorrow, is asked for again."""
    try:
        later = world.stack.sql("select distinct order_id::text from refunds where state = 'open' and try_at is not null")
    except psycopg2.Error:
        return
    for order, in later:
        world.stack.ctl("orders", "refund", order, "--timeout", PATIENCE, check=False)
