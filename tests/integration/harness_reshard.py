"""`checkoutctl reshard` as a process beside others, also one whose transaction hangs while the tables move."""

import subprocess

import pika

import harness
from harness import wait_until
from harness_database import as_login

_HOLD = """
create table if not exists public.held (held boolean);
insert into public.held values (true);
create or replace function public.hold() returns trigger language plpgsql security definer as $$
begin
    while exists (select from public.held) loop
        perform pg_sleep(0.02);
    end loop;
    return new;
end $$;
create or replace trigger hold before update on checkout.service for each row
    when (new.shards <> old.shards) execute function public.hold();
"""


class ReshardCase(harness.TestCase):
    """`shards` is the number in service before; the programs follow."""

    shards = 2          # as a new installation has it
    settings = {"CHECKOUT_SHARDS": ""}

    def setUp(self):
        self.addCleanup(self.delete_queues)

    def wait_owners(self, shards):
        wait_until(lambda: self.stack.one("select checkout.unowned_shards(%s)", (shards,)) == 0, 60, "owners of all shards")

    def delete_queues(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.stack.direct["CHECKOUT_AMQP_URL"]))
        for shards in (1, 4, 8, 16):
            channel = connection.channel()
            for shard in range(shards):
                channel.queue_delete(f"checkout.jobs.{shards}.{shard}")
            channel.exchange_delete(f"checkout.jobs.{shards}")
        connection.close()

    def begin(self, *words):
        return self.start_ctl("reshard", *words)

    def start_ctl(self, *words):
        """checkoutctl as a process, with the operator's own rights."""
        return subprocess.Popen([harness.program("checkoutctl"), *words], text=True,
                                env=harness.program_environment({**self.stack.settings, "CHECKOUT_DATABASE_URL": as_login(
                                    self.stack.direct["CHECKOUT_DATABASE_URL"], "operator")}),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def state(self):
        return self.stack.one("select state from reshards order by reshard_id desc limit 1")

    # -- a move that hangs ---------------------------------------------------------------------------

    def begin_held(self, to):
        """The process; its transaction has moved the tables, and ends after release()."""
        self.stack.sql(_HOLD)
        process = self.begin("--to", str(to))
        self.addCleanup(process.communicate)
        self.addCleanup(self.release)       # before that
        wait_until(lambda: process.poll() is not None or self.mover(), 60, "the move to hang")
        self.assertIsNone(process.poll(), process.communicate() if process.poll() is not None else None)
        return process

    def mover(self):
        """The session of the transaction that hangs."""
        return self.stack.one("select pid from pg_stat_activity where datname = current_database() "
                              "and query like '%%move_shards(%%' and wait_event = 'PgSleep'")

    def waiting(self):
        """The statements that wait for it."""
        return [query for query, in self.stack.sql(
            "select a.query from pg_stat_activity a where %s = any (pg_blocking_pids(a.pid))", (self.mover(),))]

    def release(self):
        self.stack.sql("delete from public.held")

    def end_well(self, process, timeout=90):
        said, problem = process.communicate(timeout=timeout)
        self.assertEqual(process.returncode, 0, said + problem)
        return said
