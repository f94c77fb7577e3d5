#!/usr/bin/python3
"""checkoutctl migrate: SQL that can be changed after a release."""

import json
import os
import re
import signal
import subprocess
import time
import unittest
import urllib.parse
import uuid

import psycopg2.errors

import harness
from harness_proxy import Proxy

SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "schemas", "sql")
BASELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "upgrade", "baseline")
LIST = "one.sql\ntwo.sql\n"
ONE = "create or replace function public.one() returns integer language sql as $$ select 1 $$;\n"
TWO = "create or replace function public.two() returns integer language sql as $$ select public.one() + 1 $$;\n"

# A sale of the state before, by its own functions: a unit is sold, one is being paid for, somebody waits, and an
# operator has asked for something.
SALE = """
select checkout.serve_shards(4);
insert into checkout.items (sku, shard, title, price, currency, stock, gate)
    values ('dress', 1, 'dress', 1000, 'usd', 2, 'none');
select epoch from checkout.take_over(4, 1, 1, null);
select count(*) from checkout.decide(4, 1, 1, 900000, array[{orders}]::uuid[], array['ann','bob','cid','dan'],
    array_fill('dress'::text, array[4]), array_fill(1, array[4]), array_fill('pm_card_visa'::text, array[4]),
    array_fill(null::text, array[4]), array_fill(null::bigint, array[4]), array_fill(null::text, array[4]),
    array_fill(now(), array[4]), array['a','b','c','d'], array_fill(null::text, array[4]),
    array_fill(null::text, array[4]));
select count(*) from checkout.settle(4, 1, 1, array[{first}]::uuid[], array[1], array['captured'], array['pi_1'],
    array[null]::text[]);
select * from checkout.request_command('restock', 'dress', null, '{{"units": 1}}', 'an operator');
"""


class MigrateTestCase(harness.TestCase):
    def setUp(self):
        """An empty database for each test."""
        name = f"migrate_{uuid.uuid4().hex[:12]}"
        self.stack.sql(f"create database {name}")
        self.addCleanup(self.stack.sql, f"drop database if exists {name} with (force)")
        self.url = self.stack.settings["CHECKOUT_DATABASE_URL"].rpartition("/")[0] + "/" + name

    def migrate(self, *words, code=0):
        done = self.stack.ctl("migrate", *words, check=False, CHECKOUT_DATABASE_URL=self.url)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def states(self, *words):
        """(numbered, functions): name → state."""
        document = json.loads(self.migrate(*words, "--json").stdout)
        return tuple({entry["name"]: entry["state"] for entry in document[part]}
                     for part in ("migrations", "functions"))

    def sql(self, statement, arguments=None):
        return harness.query_once(self.url, statement, arguments)

    def dump(self, *options):
        """What pg_dump says of the database, line by line, without its version and session's key."""
        done = subprocess.run(["pg_dump", "--schema-only", "--schema=checkout", *options, self.url], check=True,
                              capture_output=True, text=True)
        return [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\"))]

    def folder(self, **files):
        path = os.path.join(self.stack.directory, uuid.uuid4().hex[:8])
        os.makedirs(os.path.join(path, "functions"))
        self.write(path, **files)
        return path

    @staticmethod
    def write(folder, **files):
        """_001_x=text writes 001_x.sql; f_x=text writes functions/x.sql; list=text writes the list."""
        for name, text in files.items():
            path = ("functions/list" if name == "list" else f"functions/{name[2:]}.sql" if name.startswith("f_")
                    else name.lstrip("_") + ".sql")
            with open(os.path.join(folder, path), "w", encoding="utf-8") as sink:
                sink.write(text)


class Functions(MigrateTestCase):
    def test_are_applied_again_when_a_text_has_changed(self):
        folder = self.folder(_001_t="create table t (a integer);", list=LIST, f_one=ONE, f_two=TWO)
        self.assertEqual(self.states("--dir", folder)[1], {"one.sql": "applied", "two.sql": "applied"})
        self.assertEqual(self.states("--dir", folder)[1], {"one.sql": "present", "two.sql": "present"})
        self.write(folder, f_one=ONE.replace("select 1", "select 40"))
        self.assertEqual(self.states("--dir", folder)[1], {"one.sql": "applied", "two.sql": "present"})
        self.assertEqual(self.sql("select public.two()"), [(41,)])

    def test_all_are_as_their_files_say_even_if_only_one_has_changed(self):
        folder = self.folder(_001_t="create table t (a integer);", list=LIST, f_one=ONE, f_two=TWO)
        self.migrate("--dir", folder)
        self.sql("create or replace function public.one() returns integer language sql as 'select 7'")
        self.write(folder, f_two=TWO + "-- another text\n")
        self.migrate("--dir", folder)
        self.assertEqual(self.sql("select public.two()"), [(2,)])

    def test_one_mistake_undoes_all_of_it_tables_included(self):
        folder = self.folder(_001_t="create table t (a integer);", list=LIST, f_one=ONE, f_two=TWO)
        self.migrate("--dir", folder)
        self.write(folder, _002_u="create table u (a integer);", f_one=ONE.replace("select 1", "select 5"),
                   f_two=TWO + "\nselect * from nowhere;\n")
        done = self.migrate("--dir", folder, code=1)
        self.assertIn("two.sql line 3:", done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.sql("select public.two(), to_regclass('public.u') is null"), [(2, True)])
        self.write(folder, f_two=TWO)
        self.assertEqual(self.states("--dir", folder), ({"001_t.sql": "present", "002_u.sql": "applied"},
                                                        {"one.sql": "applied", "two.sql": "present"}))

    def test_a_dry_run_shows_what_is_due_and_applies_nothing(self):
        folder = self.folder(_001_t="create table t (a integer);", list=LIST, f_one=ONE, f_two=TWO)
        self.assertIn("would be applied", self.migrate("--dir", folder, "--dry-run").stdout)
        self.assertEqual(self.sql("select to_regclass('public.t'), to_regclass('public.checkout_migrations')"),
                         [(None, None)])
        self.migrate("--dir", folder)
        self.write(folder, _002_u="create table u (a integer);", f_one=ONE.replace("select 1", "select 5"))
        self.assertEqual(self.states("--dir", folder, "--dry-run"),
                         ({"001_t.sql": "present", "002_u.sql": "pending"},
                          {"one.sql": "pending", "two.sql": "present"}))
        self.assertEqual(self.sql("select public.one(), to_regclass('public.u')"), [(1, None)])

    def test_a_file_that_the_list_lacks_and_a_name_without_a_file_are_errors(self):
        folder = self.folder(_001_t="select 1;", list="one.sql\n", f_one=ONE, f_two=TWO)
        self.assertIn("two.sql is not in functions/list", self.migrate("--dir", folder, code=2).stderr)
        self.write(folder, list=LIST + "three.sql\n")
        self.assertIn("three.sql", self.migrate("--dir", folder, code=2).stderr)

    def test_those_of_a_newer_database_stay(self):
        folder = self.folder(_001_t="select 1;", _002_t="select 2;", list=LIST, f_one=ONE, f_two=TWO)
        self.migrate("--dir", folder)
        os.unlink(os.path.join(folder, "002_t.sql"))
        self.write(folder, f_one=ONE.replace("select 1", "select 5"))
        self.assertIn("its functions stay", self.migrate("--dir", folder).stderr)
        self.assertEqual(self.sql("select public.one()"), [(1,)])

    def test_every_one_is_planned_as_the_planner_file_says(self):
        self.migrate()
        without = self.sql("select p.proname from pg_proc p join pg_language l on l.oid = p.prolang"
                           " where p.pronamespace = 'checkout'::regnamespace and l.lanname = 'plpgsql'"
                           "   and not p.proconfig @> array['enable_seqscan=off', 'plan_cache_mode=force_generic_plan']")
        self.assertEqual(without, [])
        bitmap = self.sql("select p.proname from pg_proc p where p.pronamespace = 'checkout'::regnamespace"
                          "   and p.proconfig @> array['enable_indexscan=off'] order by 1")
        self.assertEqual([name for name, in bitmap],
                         ["await_buyers", "decide_jobs", "decide_now", "gate_states", "move_orders", "put_aside", "record_refunds",
                          "settle_payments"])


class Items(MigrateTestCase):
    def refused(self, change):
        """Whether the database refuses the only item so."""
        try:
            self.sql(f"update checkout.items set {change}")
        except psycopg2.errors.CheckViolation:
            return True
        return False

    def test_an_item_out_of_range_is_refused_whoever_writes_it(self):
        self.migrate()
        self.sql("insert into checkout.items (sku, shard, title, price, currency, stock) values ('a', 0, 't', 1, 'usd', 1)")
        good = ("sku = 'Aa0._-'", "sku = repeat('x', 64)", "currency = 'xyz'", "price = 99999999999", "title = repeat('t', 200)",
                "limit_per_user = null", "limit_per_user = 1", "gate = 'lock'", "shard = 1023", "waiting = 0", "held = 1")
        bad = ("sku = ''", "sku = repeat('x', 65)", "currency = 'usD'", "currency = 'us'", "currency = 'usdx'", "currency = ''",
               "price = 0", "price = 100000000000", "title = ''", "title = repeat('t', 201)", "limit_per_user = 0",
               "gate = 'open'", "shard = -1", "shard = 1024", "waiting = -1", "stock = -1, held = -1", "held = -1", "sold = -1",
               "held = 1, sold = 1", "held = 2, limit_per_user = null")
        self.assertEqual([change for change in good if self.refused(change)], [])
        self.assertEqual([change for change in bad if not self.refused(change)], [])
        wrong = [code for code in (*range(1, 128), 0xe4, 0x41f, 0x1f600)
                 if self.refused(f"sku = 'a' || chr({code})") == (re.fullmatch("[A-Za-z0-9._-]", chr(code)) is not None)]
        self.assertEqual(wrong, [], "characters of a SKU")


class Roles(MigrateTestCase):
    def test_a_right_that_the_file_does_not_grant_is_taken_away(self):
        self.migrate()
        self.sql("grant update (stock), delete on checkout.items to checkout_notifier")
        self.sql("update public.checkout_functions set checksum = 'x' where name = 'roles.sql'")
        self.migrate()
        self.assertEqual(self.sql("select has_column_privilege('checkout_notifier', 'checkout.items', 'stock', 'update'),"
                                  " has_table_privilege('checkout_notifier', 'checkout.items', 'delete'),"
                                  " has_table_privilege('checkout_notifier', 'checkout.items', 'select')"),
                         [(False, False, True)])


    def test_a_dump_that_was_restored_without_rights_gets_them(self):
        """As pg_restore leaves it at a server without our roles, or for another owner (docs/operations.md)."""
        def schema():       # what is restored has other parentheses
            return [re.sub(r"[()]", "", line) for line in self.dump()]
        self.migrate()
        fresh, path = schema(), os.path.join(self.stack.directory, uuid.uuid4().hex)
        subprocess.run(["pg_dump", "-Fc", "-f", path, self.url], check=True)
        self.setUp()
        subprocess.run(["pg_restore", "--no-owner", "--no-privileges", "-d", self.url, path], check=True)
        self.assertNotEqual(schema(), fresh)
        self.assertEqual(self.states("--dry-run")[1]["roles.sql"], "pending")
        numbered, functions = self.states()
        self.assertEqual((set(numbered.values()), functions["roles.sql"]), ({"present"}, "applied"))
        self.assertEqual(schema(), fresh)
        self.assertEqual(set(self.states()[1].values()), {"present"})


class Locks(MigrateTestCase):
    """A session that reads for long (a dump, an audit, a report) while a sale runs."""

    def setUp(self):
        super().setUp()
        self.files = self.folder(_001_t="create schema checkout; create table checkout.shards (a integer);"
                                        "create table checkout.orders (a integer); create table checkout.items (a integer);",
                                 list="one.sql\n", f_one=ONE)
        self.migrate("--dir", self.files)
        self.write(self.files, _002_t="alter table checkout.items add column b integer;"
                                      "alter table checkout.orders add column b integer;")
        self.reader = psycopg2.connect(self.url)
        self.addCleanup(self.reader.close)
        self.reader.cursor().execute("select * from checkout.orders")

    def start_migrating(self, waits="relation = 'checkout.orders'::regclass"):
        migrating = subprocess.Popen([harness.program("checkoutctl"), "migrate", "--dir", self.files], text=True,
                                     env=harness.program_environment({**self.stack.settings,
                                                                      "CHECKOUT_DATABASE_URL": self.url}),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(migrating.kill)
        harness.wait_until(lambda: self.waits_for(waits), 20, "migrate to wait for a lock")
        return migrating

    def waits_for(self, lock):
        return self.sql(f"select 1 from pg_locks where {lock} and not granted")

    def migrate_waits(self):
        return self.waits_for("relation = 'checkout.orders'::regclass")

    def test_one_that_is_stopped_does_not_stop_the_sale(self):
        """A host that hangs, or a network that goes silent, while migrate keeps writers out."""
        self.reader.rollback()
        self.write(self.files, _002_t="set local lock_timeout = 0; select pg_advisory_xact_lock(77);"
                                      "alter table checkout.items add column b integer;",
                   _003_t="alter table checkout.orders add column b integer;")
        self.reader.cursor().execute("select pg_advisory_lock(77)")
        migrating = self.start_migrating(waits="locktype = 'advisory' and objid = 77")
        migrating.send_signal(signal.SIGSTOP)
        self.reader.cursor().execute("select pg_advisory_unlock(77)")   # its answer is not read
        try:
            self.sql("set lock_timeout = '100s'; lock table checkout.shards in row share mode")
        finally:
            migrating.send_signal(signal.SIGCONT)
        out, problem = migrating.communicate(timeout=30)
        self.assertEqual((migrating.returncode, out), (1, ""), problem)
        self.assertIn("nothing was applied", problem)
        self.assertEqual(set(self.states("--dir", self.files)[0].values()), {"present", "applied"})
        self.assertEqual(self.sql("select b from checkout.orders"), [])

    def assert_migrated(self, migrating):
        out, problem = migrating.communicate(timeout=30)
        self.assertEqual((migrating.returncode, self.sql("select b from checkout.orders")), (0, []), out + problem)
        return problem

    def test_a_sale_goes_on_while_migrate_waits_for_a_long_reader(self):
        migrating = self.start_migrating()
        began = time.monotonic()
        self.sql("begin; set lock_timeout = '15s'; lock table checkout.shards in row share mode;"
                 "insert into checkout.orders values (1); delete from checkout.orders; commit")
        self.assertLess(time.monotonic() - began, 3)
        harness.wait_until(self.migrate_waits, 20, "migrate to try again")
        self.reader.rollback()
        self.assertIn(f"process {self.reader.info.backend_pid} ", self.assert_migrated(migrating))

    def test_a_deadlock_with_a_reader_is_tried_again(self):
        migrating = self.start_migrating()
        try:
            self.reader.cursor().execute("select * from checkout.items")
        except psycopg2.errors.DeadlockDetected:
            pass
        self.reader.rollback()
        self.assert_migrated(migrating)


class Lost(MigrateTestCase):
    """The connection goes while migrate works."""

    def setUp(self):
        super().setUp()
        self.files = self.folder(_001_t="create table t (a integer);", list="one.sql\n", f_one=ONE)
        parts = urllib.parse.urlsplit(self.url)
        self.proxy = Proxy(parts.hostname, parts.port)
        self.addCleanup(self.proxy.close)
        self.proxied = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.proxy.port}").geturl()

    def lose_answers_to(self, pattern):
        """What migrate says whose connection ends when the server has this."""
        loss = self.proxy.lose_answers(pattern)
        migrating = subprocess.Popen([harness.program("checkoutctl"), "migrate", "--dir", self.files], text=True,
                                     env=harness.program_environment({**self.stack.settings,
                                                                      "CHECKOUT_DATABASE_URL": self.proxied}),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(migrating.kill)
        harness.wait_until(lambda: loss.lost(b"C\0\0\0"), 20, "the server to have answered")
        loss.reset()
        out, problem = migrating.communicate(timeout=60)
        self.assertEqual((migrating.returncode, out), (1, ""), problem)
        return problem

    def test_before_the_commit_nothing_is_applied(self):
        problem = self.lose_answers_to(b"insert into public.checkout_migrations")
        self.assertRegex(problem, r"001_t\.sql: \S.*; nothing was applied")
        self.assertEqual(self.sql("select to_regclass('public.t')"), [(None,)])

    def test_at_the_commit_it_is_not_known_and_a_second_run_tells(self):
        self.assertIn("whether it was applied is not known; run it again", self.lose_answers_to(b"commit\0"))
        self.assertEqual(self.states("--dir", self.files), ({"001_t.sql": "present"}, {"one.sql": "present"}))


class Turns(MigrateTestCase):
    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as source:
            return source.read()

    def test_one_that_finds_another_at_work_names_it_and_waits(self):
        folder = self.folder(_001_t="create table t (a integer);", list="one.sql\n", f_one=ONE)
        other = psycopg2.connect(self.url, application_name="checkoutctl")
        self.addCleanup(other.close)
        other.cursor().execute("select pg_advisory_lock(hashtextextended('checkout_migrations', 0))")
        path = os.path.join(folder, "problems")
        with open(path, "w", encoding="utf-8") as problems:
            migrating = subprocess.Popen([harness.program("checkoutctl"), "migrate", "--dir", folder],
                                         env=harness.program_environment({**self.stack.settings,
                                                                          "CHECKOUT_DATABASE_URL": self.url}),
                                         stdout=subprocess.DEVNULL, stderr=problems)
        self.addCleanup(migrating.kill)
        note = f"another migrate (process {other.info.backend_pid}, checkoutctl) is at work"
        harness.wait_until(lambda: note in self.read(path), 20, "it to name the other one")
        self.assertEqual(self.sql("select to_regclass('public.t')"), [(None,)])
        other.close()
        self.assertEqual(migrating.wait(30), 0)
        self.assertEqual(self.read(path).count("\n"), 1)
        self.assertEqual(self.sql("select to_regclass('public.t')"), [("t",)])


class Indexes(MigrateTestCase):
    def test_one_whose_build_was_interrupted_is_refused(self):
        folder = self.folder(_001_t="create schema checkout; create table checkout.t (a integer);", list="one.sql\n", f_one=ONE)
        self.migrate("--dir", folder)
        self.sql("insert into checkout.t values (1), (1)")
        with self.assertRaises(psycopg2.errors.UniqueViolation):
            self.sql("create unique index concurrently t_a on checkout.t (a)")
        self.migrate("--dir", folder)           # nothing is due
        self.write(folder, _002_t="create index if not exists t_a on checkout.t (a); create table u (a integer);")
        for words in ((), ("--dry-run",)):
            done = self.migrate("--dir", folder, *words, code=1)
            self.assertIn("the index checkout.t_a is not valid", done.stderr)
        self.assertEqual(self.sql("select to_regclass('public.u')"), [(None,)])
        self.sql("drop index checkout.t_a")
        self.assertEqual(self.states("--dir", folder)[0], {"001_t.sql": "present", "002_t.sql": "applied"})


class Baseline(MigrateTestCase):
    """A database of the state before functions had files of their own."""

    def make_old(self):
        self.migrate("--dir", BASELINE)
        orders = [str(uuid.uuid4()) for _ in range(4)]
        self.sql(SALE.format(orders=", ".join(f"'{order}'" for order in orders), first=f"'{orders[0]}'"))
        return orders

    def columns(self):
        """The columns of every table."""
        return dict(self.sql("select table_name::text, string_agg(quote_ident(column_name), ', ' order by ordinal_position)"
                             " from information_schema.columns where table_schema = 'checkout' group by 1"))

    def rows(self, columns=None):
        """Every row of every table, as text: of these columns (all)."""
        return {table: self.sql(f"select ({names})::text from checkout.{table} order by 1")
                for table, names in (columns or self.columns()).items()}

    def test_the_files_are_those_that_it_has_recorded(self):
        self.migrate("--dir", BASELINE)
        with open(os.path.join(SQL, "baseline.sha256"), encoding="ascii") as source:
            recorded = dict(reversed(line.split()) for line in source)
        self.assertEqual(dict(self.sql("select name, checksum from public.checkout_migrations")), recorded)

    def test_migrates_to_what_a_new_database_is(self):
        self.migrate()
        fresh = self.dump()
        self.setUp()
        self.migrate("--dir", BASELINE)
        numbered, functions = self.states()
        self.assertEqual(numbered.pop("010_tables.sql"), "accepted")
        self.assertEqual(set(numbered.values()) | set(functions.values()), {"applied"} if numbered else {"applied"})
        self.assertEqual(self.dump(), fresh)
        self.assertEqual(set(self.states()[0].values()), {"present"})

    def test_keeps_its_rows_and_goes_on_with_its_sale(self):
        ann, bob, cid, dan = self.make_old()
        columns = self.columns()
        before = self.rows()
        self.migrate("--dry-run")
        self.assertEqual(self.rows(), before)
        self.migrate()
        columns["waitlist"] = columns.pop("line")
        for old, new in (("line_head", "waitlist_head"), ("beat", "heartbeats"), ("beat_at", "heartbeat_at")):
            columns = {table: re.sub(rf"\b{old}\b", new, names) for table, names in columns.items()}
        after = self.rows(columns)
        for table in ("items", "orders", "order_events", "payments", "commands", "shards", "take_overs", "service"):
            self.assertEqual(after[table], before[table], table)
        self.assertEqual(after["waitlist"], before["line"])
        self.sql("select * from checkout.run_commands(4, 1, 1, 10)")    # a unit more: cid's turn
        self.sql("select * from checkout.settle_payments(4, 1, 1, array[%s, %s]::uuid[], array[1, 1],"
                 " array['declined', 'captured'], array[null, 'pi_3']::text[], array['card_declined', null]::text[])",
                 (bob, cid))
        self.assertEqual(dict(self.sql("select order_id::text, status from checkout.orders")),
                         {ann: "confirmed", bob: "rejected", cid: "confirmed", dan: "reserved"})
        self.assertEqual(self.sql("select stock, held, sold, waiting from checkout.items"), [(3, 1, 2, 0)])
        findings = [row for check in ("items()", "events()", "line(60000)", "turns()", "payments(60000)",
                                      "refunds(60000)", "shards()")
                    for row in self.sql(f"select * from checkout.audit_{check}")]
        self.assertEqual(findings, [])

    def test_indexes_that_its_programs_need_stay_until_they_are_dropped(self):
        self.migrate()
        fresh = self.dump()
        self.setUp()
        self.make_old()
        self.migrate()
        for table, column, value, index in (("orders", "user_id", "'ann'", "orders_by_user"),
                                            ("order_events", "order_id", "'00000000-0000-4000-8000-000000000000'", "order_events_pkey")):
            plan = self.sql(f"set enable_seqscan = off; explain select from checkout.{table} where {column} = {value}")
            self.assertIn(index, " ".join(line for line, in plan))
        for _ in range(2):
            self.sql("select checkout.drop_previous_indexes()")
            self.assertEqual(self.dump(), fresh)

    def test_one_of_another_state_is_refused_and_left_alone(self):
        self.make_old()
        self.sql("update public.checkout_migrations set checksum = 'x' where version = 7")
        before = self.dump()
        for words in ((), ("--dry-run",)):
            self.assertIn("another state of this program", self.migrate(*words, code=1).stderr)
        self.assertEqual(self.dump(), before)


class Numbered(unittest.TestCase):
    def test_hold_no_functions_and_function_files_replace(self):
        for name in sorted(os.listdir(SQL)):
            if re.match(r"\d{3}_.*\.sql$", name):
                with open(os.path.join(SQL, name), encoding="utf-8") as source:
                    self.assertNotRegex(source.read(), r"(?im)^\s*create\s+(or\s+replace\s+)?(function|aggregate|trigger)")
        for name in sorted(os.listdir(os.path.join(SQL, "functions"))):
            with open(os.path.join(SQL, "functions", name), encoding="utf-8") as source:
                self.assertNotRegex(source.read(), r"(?im)^\s*create\s+(?!or\s+replace)")


if __name__ == "__main__":
    unittest.main(verbosity=2)
