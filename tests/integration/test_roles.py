#!/usr/bin/python3
"""Each program's database role suffices for its work (every other test shows that for the daemons, whose
logins have nothing else) and allows no more: each logs in and tries everything else."""

import psycopg2

import harness
from harness_database import as_login


# What the door may write by, and what it reads by. request_webhook is of the previous release (it goes with it).
WRITES = {"request_cancel", "hear_gateway", "daemon_heartbeat", "request_webhook"}
READS = {"greet", "database_problem", "refuse_older_database", "refuse_behind", "versions", "place_in_line", "waits_until", "clock_behind_ms", "open_action", "known_orders", "unknown_items"}
NOTIFIER_WRITES = {"daemon_heartbeat"}
NOTIFIER_READS = {"greet", "database_problem", "refuse_older_database", "refuse_behind", "versions", "next_action", "open_action", "relay_lags", "age_ms", "list_daemons", "count_daemons",
                  "items_with_waitlist", "item_lines", "lines_now", "hot_items", "shop_now", "refunds_owed", "refuse_old_event", "clock_behind_ms", "lines", "line_tickets", "tickets_of",
                  "second_of", "span_of"}
CONSOLE_WRITES = {"console_request", "daemon_heartbeat", "keep_moment"}
CONSOLE_KEPT = {"overview"}       # reads with rights that the console's login has not
CONSOLE_READS = {"greet", "database_problem", "refuse_older_database", "refuse_behind", "versions", "api_time", "item_json", "console_items", "console_item", "console_order_json",
                 "console_orders", "console_order", "command_json", "console_before", "console_ended", "feed", "feed_end",
                 "feed_start", "feed_bound", "refuse_behind_horizon", "second_of", "span_of"}
EVERY_FUNCTION = """
    select p.proname, p.oid::regprocedure::text, has_function_privilege(%s, p.oid, 'execute'), p.prosecdef,
           array_to_string(p.proconfig, ';'), p.proowner::regrole::text,
           format('select %%s(%%s)', p.oid::regproc,
                  (select string_agg('null::' || format_type(t, null), ',' order by n)
                     from unnest(p.proargtypes) with ordinality u(t, n)))
      from pg_proc p where p.pronamespace = 'checkout'::regnamespace and p.prokind = 'f'"""


class Roles(harness.TestCase):
    daemons = ("sandbox", "consumer")

    def functions(self, role):
        """name → (may execute, security definer, settings, owner, a call of it)."""
        return {name + arguments.partition("(")[2]: (name, may, definer, settings or "", owner, call)
                for name, arguments, may, definer, settings, owner, call in self.stack.sql(EVERY_FUNCTION, (role,))}

    def may_execute(self, role):
        return {name for name, may, *_ in self.functions(role).values() if may}

    def test_the_public_may_execute_nothing(self):
        self.assertEqual(self.stack.sql("""
            select p.oid::regprocedure::text from pg_proc p
             where p.pronamespace = 'checkout'::regnamespace
               and exists (select 1 from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                            where a.grantee = 0)"""), [])

    def test_the_door_may_execute_three_functions_that_write_and_those_by_which_it_reads(self):
        self.assertEqual(self.may_execute("checkout_producer"), WRITES | READS)
        for name, _, definer, settings, owner, _ in self.functions("checkout_producer").values():
            if name in WRITES:
                with self.subTest(name=name):
                    self.assertEqual((definer, owner), (True, "checkout_requester"))
                    self.assertIn('search_path=""', settings)
        self.assertEqual(self.stack.sql("select rolcanlogin, rolsuper, rolcreaterole from pg_roles "
                                        "where rolname = 'checkout_requester'"), [(False, False, False)])

    def test_the_notifier_executes_what_it_reads_by_and_its_heartbeat(self):
        self.assertEqual(self.may_execute("checkout_notifier"), NOTIFIER_WRITES | NOTIFIER_READS)

    def test_whoever_owns_the_functions_of_the_door_has_the_rights_for_them_alone(self):
        rights = {(table, right) for table, right in self.stack.sql("""
            select c.relname, a.privilege_type
              from pg_class c, aclexplode(c.relacl) a
             where c.relnamespace = 'checkout'::regnamespace and a.grantee = 'checkout_requester'::regrole
            union
            select c.relname, x.privilege_type || ' ' || a.attname
              from pg_class c join pg_attribute a on a.attrelid = c.oid, aclexplode(a.attacl) x
             where c.relnamespace = 'checkout'::regnamespace and x.grantee = 'checkout_requester'::regrole""")}
        writes = {(table, right) for table, right in rights if not right.startswith("SELECT")}
        self.assertEqual(writes, {("webhook_counts", "INSERT"), ("webhook_counts", "UPDATE"), ("daemons", "INSERT"),
                                  ("daemons", "UPDATE"), ("daemons", "DELETE")} | {
            ("commands", "INSERT " + name)
            for name in ("kind", "shard", "order_id", "user_id", "argument", "requested_by")})
        self.assertEqual(self.stack.one("select has_schema_privilege('checkout_requester', 'checkout', 'create')"),
                         False)

    def test_each_function_that_runs_with_rights_of_its_own_has_a_pinned_path(self):
        for name, _, definer, settings, _, _ in self.functions("checkout_producer").values():
            if definer:
                self.assertIn('search_path=""', settings, name)

    def test_the_door_and_the_notifier_are_refused_every_other_function(self):
        for program, allowed in (("producer", WRITES | READS), ("notifier", NOTIFIER_WRITES | NOTIFIER_READS)):
            calls = [call for name, _, _, _, _, call in self.functions("checkout_" + program).values()
                     if name not in allowed]
            self.assertGreater(len(calls), 100)
            self.refused(program, *calls)

    def test_the_door_and_the_notifier_write_no_table(self):
        tables = [name for name, in self.stack.sql(
            "select c.relname from pg_class c where c.relnamespace = 'checkout'::regnamespace "
            "and c.relkind in ('r', 'p', 'v')")]
        for program in ("producer", "notifier"):
            for table in tables:
                self.refused(program, f"insert into {table} default values", f"delete from {table}",
                             f"truncate {table}")
            self.refused(program, "create table checkout.mine (n integer)", "lock table items in exclusive mode",
                         "select nextval('event_ids')", "set role checkout_requester")

    def test_the_door_moves_neither_stock_nor_money(self):
        order = "00000000-0000-8000-8000-000000000000"
        self.refused(
            "producer", "select request_command('restock', 'vip', null, '{\"units\":1000}', 'buyer')",
            "select request_command('pause', null, 0, null, 'buyer')",
            f"select request_order_command('refund', '{order}', '{{\"restock\":true}}', 'buyer')",
            "insert into commands (kind, shard, sku, requested_by) values ('pause', 0, 'vip', 'buyer')",
            "insert into commands (kind, order_id, user_id, requested_by) "
            f"values ('cancel', '{order}', 'ann', 'buyer')",
            "select move_orders(0, array[]::move[])", "select note_webhooks(1, 0, null)")

    def test_the_operator_moves_no_order_itself(self):
        self.refused("operator", "select move_orders(0, array[]::move[])", "select forget_webhooks(0, 1)")

    def url(self, program):
        return as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], program)

    def refused(self, program, *statements):
        for statement in statements:
            with self.subTest(program=program, statement=statement):
                connection = psycopg2.connect(self.url(program), options="-c search_path=checkout")
                try:
                    with connection.cursor() as cursor, \
                            self.assertRaises(psycopg2.errors.InsufficientPrivilege):
                        cursor.execute(statement)
                finally:
                    connection.close()

    def test_the_door_only_reads_and_asks(self):
        self.refused("producer", "update items set stock = 1000000", "update orders set status = 'confirmed'",
                     "insert into orders (order_id) values (gen_random_uuid())",
                     "delete from commands", "update commands set state = 'done'",
                     "select payment_method from orders", "select receipt_email from orders",
                     "select * from payments", "update shards set epoch = 0")

    def test_the_notifier_only_reads(self):
        self.refused("notifier", "select payment_method from orders", "select receipt_email from orders",
                     "select * from payments", "select * from commands",
                     "insert into order_events (shard, order_id, sequence, status) "
                     "values (0, gen_random_uuid(), 1, 'confirmed')", "update items set sold = 0")

    def test_the_mailer_keeps_mails_and_reads_what_they_tell(self):
        self.assertEqual(self.may_execute("checkout_mailer"), {
            "greet", "database_problem", "refuse_older_database", "refuse_behind", "versions", "open_action", "age_ms", "mail_is_stale", "count_mail", "mail_addresses_busy",
            "claim_mails", "finish_mail", "mails_overdue", "daemon_heartbeat"})
        self.refused("mailer", "select payment_method from orders", "select user_id from orders",
                     "select receipt_email from orders", "select * from commands", "select idempotency_key from payments",
                     "update orders set status = 'confirmed'", "update items set sold = 0",
                     "insert into mails (order_id, kind) values (gen_random_uuid(), 'confirmed')", "delete from mails",
                     "update mail_settings set kinds = '{}'", "select move_orders(0, array[]::move[])",
                     "select retry_mail(1)")
        self.refused("consumer", "insert into mails (order_id, kind) values (gen_random_uuid(), 'confirmed')",
                     "update mails set state = 'sent'", "delete from mails", "update mail_settings set kinds = '{}'")
        for program in ("producer", "notifier"):
            self.refused(program, "select * from mails", "select mail_to from orders", "select * from mail_counts")

    def test_what_sends_webhooks_keeps_deliveries_and_chooses_no_endpoint(self):
        self.assertEqual(self.may_execute("checkout_webhooks"), {
            "greet", "database_problem", "refuse_older_database", "refuse_behind", "versions", "age_ms", "feed", "fill_hook", "fill_hooks", "forget_hooks", "claim_hooks", "next_hooks",
            "put_off_hooks", "judge_hook", "finish_hook", "hooks_overdue", "hooks_now", "daemon_heartbeat", "feed_start",
            "feed_bound", "refuse_behind_horizon", "span_of"})
        self.refused("webhooks", "select payment_method from orders", "select receipt_email from orders",
                     "select mail_to from orders", "select * from payments", "select * from commands",
                     "update orders set status = 'confirmed'", "update items set sold = 0", "delete from order_events",
                     "insert into hook_endpoints (endpoint, url) values ('x', 'https://x.example')",
                     "update hook_endpoints set url = 'https://x.example'", "delete from hook_endpoints",
                     "select add_hook('x', 'https://x.example', null, false)", "select move_orders(0, array[]::move[])")
        for program in ("producer", "notifier", "mailer"):
            self.refused(program, "select * from hook_endpoints", "select * from hook_deliveries")
        self.refused("consumer", "update hook_endpoints set url = 'https://x.example'", "delete from hook_deliveries",
                     "insert into hook_deliveries (endpoint, type, at) values ('x', 'test', now())")

    def test_the_console_reads_what_the_shop_may_know_and_asks_by_one_function(self):
        self.assertEqual(self.may_execute("checkout_console"), CONSOLE_WRITES | CONSOLE_READS | CONSOLE_KEPT)
        owners = {name: (owner, definer) for name, _, definer, _, owner, _ in self.functions("checkout_console").values()}
        for name in ("console_request", "overview", "keep_moment"):
            self.assertEqual(owners[name], ("checkout_keeper", True))
        rights = {(table, right) for table, right in self.stack.sql("""
            select c.relname, a.privilege_type from pg_class c, aclexplode(c.relacl) a
             where a.grantee = 'checkout_console'::regrole or a.grantee = 'checkout_keeper'::regrole
               and a.privilege_type <> 'SELECT'""")}
        self.assertEqual(rights, {(table, "SELECT") for table in ("service", "items", "order_events", "waitlist", "returns",
                                                          "horizons")}
                         | {(table, right) for table in ("requests", "moments") for right in ("INSERT", "DELETE")})
        self.refused("console", "select payment_method from orders", "select receipt_email from orders",
                     "select mail_to from orders", "select action from payments", "select idempotency_key from payments",
                     "select argument from commands", "select wish from requests", "select * from mails",
                     "select * from moments", "select show_changes(1)",
                     "update items set stock = 9", "insert into items (sku) values ('x')",
                     "insert into commands (kind, shard, requested_by) values ('pause', 0, 'x')",
                     "insert into requests (requested_by, key, kind, wish) values ('x', 'x', 'pause', '{}')",
                     "delete from requests", "select request_command('pause', null, 0, null, 'x')",
                     "select move_orders(0, array[]::move[])", "set role checkout_keeper")
        for program in ("producer", "notifier", "mailer"):
            self.refused(program, "select * from requests",
                         "select console_request('x', 'k', 'pause', 'a', null, null, '{}', null, null, null)")

    def test_the_counter_takes_no_history_back(self):
        self.refused("consumer", "delete from orders", "delete from payments", "delete from order_events",
                     "update order_events set status = 'confirmed'", "update service set shards = 1",
                     "insert into items (sku, shard, title, price, currency, stock) "
                     "values ('x', 0, 'x', 1, 'usd', 1)", "create table checkout.mine (n integer)")

    def test_the_operator_goes_through_the_owner_of_the_line(self):
        self.refused("operator", "update items set stock = 0", "update orders set status = 'refunded'",
                     "delete from order_events", "update payments set state = 'captured'",
                     "update shards set epoch = 0", "delete from commands")

    def test_the_operator_can_work(self):
        sku = self.stack.item(stock=1)
        for arguments in (("items", "list"), ("orders", "list"), ("items", "restock", sku, "2"),
                          ("pause", sku), ("resume", sku), ("topology",), ("doctor",)):
            with self.subTest(" ".join(arguments)):
                self.stack.ctl(*arguments, CHECKOUT_DATABASE_URL=self.url("operator"))
        self.assertEqual(self.stack.counts(sku)[0], 3)


if __name__ == "__main__":
    harness.main()
