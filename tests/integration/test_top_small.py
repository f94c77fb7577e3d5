#!/usr/bin/python3
"""`checkoutctl top` where much is wrong and the terminal is small: all fits, and what is worst stands first."""

import harness

ROWS, COLUMNS = 24, 80
LINES = """
    with made as (
        insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, fingerprint, ticket, sequence,
                            accepted_at, created_at)
        select gen_random_uuid(), 'ann', i.sku, i.shard, 1, 'waiting', 1999, 'usd', 'f', 1, 1, now(), now() - n * interval '1 h'
          from (select t.*, row_number() over (order by t.sku) as n from items t where t.sku = any (%s)) i
        returning order_id, sku, shard, created_at),
    held as (
        insert into payments (order_id, shard, state, amount, currency, idempotency_key, created_at)
        select order_id, shard, 'open', 1999, 'usd', order_id || '-1', created_at from made)
    insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at, created_at)
    select sku, 1, order_id, shard, 1, now() + interval '1 hour', created_at from made"""


class ManyShards(harness.TestCase):
    shards = 64

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.skus = [f"{n:02d}-an-item-with-a-very-long-name-of-60-characters-{'x' * 12}" for n in range(20)]
        for sku in cls.skus:
            cls.stack.item(sku, stock=1, held=1)
        cls.stack.sql(LINES, (cls.skus,))
        cls.stack.sql("update items set waiting = 1, next_ticket = 2 where sku = any (%s)", (cls.skus,))
        # a member that lives as long as this session does, has all shards but two, and no payment of it goes on
        member = cls.stack.one("select checkout.join_pool('a-member-with-a-long-name', 'a-long-name-of-a-host', 1, '0.1.0')")
        cls.stack.sql("update consumers set ready = true, heartbeat_at = now() + interval '1 h' where member_id = %s", (member,))
        cls.stack.sql("update shards set owner = case when shard in (41, 62) then null else %s end, epoch = 123456, "
                      "taken_at = now() - interval '100 days', paused = shard = 7, "
                      "payments_stopped = 'the gateway refuses our key: ' || repeat('a long reason ', 9)", (member,))
        cls.stack.sql("insert into items_aside (shard, sku, why) select shard, sku, 'locked' from items")
        cls.stack.sql("insert into daemons (program, host, place, pid, version, ready, not_ready, heartbeat_at) "
                      "select 'producer', repeat('a-host', 9), 'place-' || n, 1, '0', false, repeat('a long reason ', 9), now() - "
                      "interval '20 s' from generate_series(1, 200) n")

    def test_it_fits_and_shows_first_what_hurts_most(self):
        done, seen = harness.at_terminal(ROWS, COLUMNS, harness.program_environment(self.stack.settings), "top", "--once")
        self.assertEqual((done.returncode, done.stderr), (0, ""), seen)
        lines = seen.splitlines()
        self.assertEqual([line for line in lines if len(line.rstrip()) > COLUMNS], [])
        self.assertLess(len(lines), ROWS, seen)     # the cursor's line is below
        self.assertIn("64 shards, 2 of them unserved", seen)
        self.assertIn("payments are stopped in 64 of 64 shards: the gateway refuses our key", seen)
        self.assertIn("set aside: 20 items", seen)
        self.assertIn("daemons that are dead or not ready, and not shown: 196", lines)
        shards, items = ([line.split()[0] for line in lines[next(n for n, line in enumerate(lines) if line.startswith(head)) + 1:]]
                         for head in ("SHARD", "ITEM"))
        self.assertEqual(set(shards[:2]), {"41", "62"}, seen)
        self.assertIn("shards that are not shown: 62", lines)
        self.assertTrue(items[0].startswith("19-an-item"), seen)    # it has waited longest
        self.assertIn("items that are not shown: 19", lines)


if __name__ == "__main__":
    harness.main()
