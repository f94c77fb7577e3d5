"""Servers that answer and cannot do their job: each fault ends by itself, and is undone whatever happens."""

import time
import urllib.parse

import psycopg2
import redis

from chaos_world import harness

ALL_RIGHTS = ("+@all", "allchannels", "allkeys")
BARRED = ("publish", "subscribe", "eval", "evalsha", "set", "get")
UNDO_S = 30.0


def until_it_works(work, errors):
    """Undoes a fault, also if its server is away just now."""
    deadline = time.monotonic() + UNDO_S
    while True:
        try:
            return work()
        except errors:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def alter_database(world, name, value):
    """A setting of the whole server; None: as it was. No write of its own, so that it never waits itself."""
    url = world.stack.direct["CHECKOUT_DATABASE_URL"]
    change = f"alter system reset {name}" if value is None else f"alter system set {name} = '{value}'"
    for statement in (change, "select pg_reload_conf()"):
        harness.query_once(url, statement, connect_timeout=5,
                                    options="-cdefault_transaction_read_only=off -csynchronous_commit=local")


def with_setting(storm, name, value, seconds):
    """PostgreSQL with another setting for a while."""
    def degrade():
        try:
            alter_database(storm.world, name, value)
            storm.pause(seconds)
        finally:
            until_it_works(lambda: alter_database(storm.world, name, storm.world.usual.get(name)), psycopg2.Error)
    return storm.with_server("database", degrade)


def read_only_database(storm, seconds):
    """Each transaction is refused when it writes (25006), and new sessions find no server to write to."""
    return with_setting(storm, "default_transaction_read_only", "on", seconds)


def hang_commits(storm, seconds):
    """Each commit waits for a replica that does not exist; reads go on."""
    return with_setting(storm, "synchronous_standby_names", "nowhere", seconds)


def redis_of(storm):
    return redis.Redis.from_url(storm.world.stack.direct["CHECKOUT_REDIS_URL"], socket_timeout=5)


def demote_redis(storm, seconds):
    """It is a replica of a server that is not there: it reads, and refuses writes."""
    def demote():
        client = redis_of(storm)
        try:
            client.execute_command("REPLICAOF", "127.0.0.1", "9")
            storm.pause(seconds)
        finally:
            until_it_works(lambda: client.execute_command("REPLICAOF", "NO", "ONE"), redis.RedisError)
    return storm.with_server("redis", demote)


def refuse_command(storm, number, seconds):
    """Redis refuses one command to everybody (NOPERM)."""
    def refuse():
        client = redis_of(storm)
        login = urllib.parse.urlsplit(storm.world.stack.settings["CHECKOUT_REDIS_URL"]).username or "default"
        try:
            client.execute_command("ACL", "SETUSER", login, "-" + BARRED[number])
            storm.pause(seconds)
        finally:
            until_it_works(lambda: client.execute_command("ACL", "SETUSER", login, *ALL_RIGHTS), redis.RedisError)
    return storm.with_server("redis", refuse)


def limit_channels(storm, most, seconds):
    """A connection of this login may open fewer channels than there are shards; who is connected keeps his."""
    def limit():
        login = urllib.parse.urlsplit(storm.world.stack.settings["CHECKOUT_AMQP_URL"]).username
        try:
            storm.world.broker_control("set_user_limits", login, f'{{"max-channels": {most}}}')
            storm.pause(seconds)
        finally:
            storm.world.broker_undo("clear_user_limits", login, "all")
    return storm.with_server("broker", limit)


DRAWS = {
    "read-only PostgreSQL": (0.6, lambda rng: (read_only_database, (rng.choice((1, 4, 14)),))),
    "commits hang": (0.6, lambda rng: (hang_commits, (rng.choice((1, 4, 14)),))),
    "demoted Redis": (0.6, lambda rng: (demote_redis, (rng.choice((1, 4, 14)),))),
    "Redis refuses a command": (0.8, lambda rng: (refuse_command, (rng.randrange(len(BARRED)),
                                                                  rng.choice((2, 6, 14))))),
}

# At least once in a run, and so often in a minute.
RARE = {
    "read-only PostgreSQL, long": (0.1, lambda rng: (read_only_database, (14,))),
    "commits hang, long": (0.1, lambda rng: (hang_commits, (14,))),
    "demoted Redis, long": (0.1, lambda rng: (demote_redis, (14,))),
    "limited channels": (0.2, lambda rng: (limit_channels, (rng.choice((4, 8)), rng.uniform(2, 8)))),
}
