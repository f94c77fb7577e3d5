#!/usr/bin/python3
"""checkoutctl against real servers."""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import threading
import unittest
import urllib.parse
import uuid

import jwt
import pika

import harness


class CtlTestCase(harness.TestCase):
    def path(self, name, text):
        path = os.path.join(self.stack.directory, f"{uuid.uuid4().hex[:8]}-{name}")
        with open(path, "w", encoding="utf-8") as sink:
            sink.write(text)
        return path

    def ctl(self, *words, code=0, **settings):
        done = self.stack.ctl(*words, check=False, **settings)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def document(self, *words, code=0, **settings):
        return json.loads(self.ctl(*words, "--json", code=code, **settings).stdout)

    def lines(self, *words, **settings):
        return [json.loads(line) for line in self.ctl(*words, "--json", **settings).stdout.splitlines()]

    def at_terminal(self, columns, *words):
        """What people see at a terminal of so many columns."""
        done, seen = harness.at_terminal(24, columns, harness.program_environment(self.stack.settings), *words)
        self.assertEqual(done.returncode, 0, seen)
        return seen.splitlines(), done.stderr


class Help(CtlTestCase):
    def commands(self):
        """Of the table, as bash's completion has it."""
        table = self.ctl("completion").stdout.partition("<<'COMMANDS'\n")[2].partition("\nCOMMANDS\n")[0]
        found = [line.partition("|")[0] for line in table.splitlines()]
        self.assertGreater(len(found), 45)
        return found

    def test_the_whole_and_each_command_fit_into_80_columns(self):
        for words in ([], *(command.split() for command in self.commands())):
            text = self.ctl(*words, "--help").stdout
            self.assertTrue(text.startswith("usage: checkoutctl"), text)
            self.assertEqual([line for line in text.splitlines() if len(line) > 80], [])

    def test_the_whole_names_every_command(self):
        text = self.ctl("--help").stdout
        for command in self.commands():
            self.assertRegex(text, rf"(?m)^  {command}\b")

    def test_a_family_names_its_commands(self):
        text = self.ctl("dead", "--help").stdout
        self.assertEqual([line.split()[:2] for line in text.splitlines() if line.startswith("  ")],
                         [command.split() for command in self.commands() if command.startswith("dead ")])

    def test_wrong_usage_says_what_is_wrong(self):
        for words, expected in (
                ((), "a command is missing"),
                (("frob",), 'unknown command "frob"'),
                (("items",), '"items import", "items list"'),
                (("items", "frob"), '"items frob" is no command'),
                (("items", "import"), "needs FILE.csv"),
                (("items", "import", "a", "b"), '"b" is one argument too many'),
                (("items", "list", "--frob"), "unknown option --frob"),
                (("items", "list", "--limit"), "--limit takes a value"),
                (("items", "list", "--limit", "0"), "between 1 and"),
                (("items", "list", "--limit=x"), "between 1 and"),
                (("orders", "show", "nonsense"), "is no order id"),
                (("orders", "list", "--status", "lost"), "--status"),
                (("token",), "--user must be given"),
                (("token", "--user", "ann", "--ttl", "1"), "--ttl"),
                (("token", "--user", "ann", "--aud", "moon"), "--aud"),
                (("migrate", "--dir", "/nonexistent"), "/nonexistent")):
            with self.subTest(words=words):
                done = self.ctl(*words, code=2)
                self.assertIn(expected, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertEqual(done.stdout, "")

    def test_version(self):
        self.assertRegex(self.ctl("--version").stdout, r"^checkoutctl \d+\.\d+\.\d+\n$")


class Migrate(CtlTestCase):
    def setUp(self):
        """An empty database for each test."""
        name = f"migrate_{uuid.uuid4().hex[:12]}"
        self.stack.sql(f"create database {name}")
        self.addCleanup(self.stack.sql, f"drop database if exists {name} with (force)")
        url = self.stack.settings["CHECKOUT_DATABASE_URL"]
        self.empty = {"CHECKOUT_DATABASE_URL": url.rpartition("/")[0] + "/" + name}

    def folder(self, **files):
        path = os.path.join(self.stack.directory, uuid.uuid4().hex[:8])
        os.makedirs(path)
        for name, text in files.items():
            self.write(path, name, text)
        return path

    @staticmethod
    def write(folder, name, text):
        with open(os.path.join(folder, name.lstrip("_") + ".sql"), "w", encoding="utf-8") as sink:
            sink.write(text)

    def test_all_files_once(self):
        first = self.document("migrate", **self.empty)
        names = sorted(name for name in os.listdir(first["dir"]) if re.match(r"\d{3}_.*\.sql$", name))
        self.assertEqual([entry["name"] for entry in first["migrations"]], names)
        self.assertEqual({entry["state"] for entry in first["migrations"]}, {"applied"})
        again = self.document("migrate", **self.empty)
        self.assertEqual({entry["state"] for entry in again["migrations"]}, {"present"})
        self.assertIn("is there already", self.ctl("migrate", **self.empty).stdout)

    def test_two_at_once_wait_for_each_other(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.ctl("migrate", **self.empty)))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        applied = [done for done in results if "applied" in done.stdout]
        self.assertEqual((len(results), len(applied)), (4, 1))

    def test_a_file_that_has_changed_is_an_error_and_nothing_is_applied(self):
        folder = self.folder(_001_one="create table one (a integer);")
        self.ctl("migrate", "--dir", folder, **self.empty)
        self.write(folder, "001_one", "create table one (a integer); -- changed")
        self.write(folder, "002_two", "create table two (a integer);")
        done = self.ctl("migrate", "--dir", folder, code=1, **self.empty)
        self.assertIn("001_one.sql has other content than when it was applied", done.stderr)
        self.write(folder, "001_one", "create table one (a integer);")
        states = self.document("migrate", "--dir", folder, **self.empty)["migrations"]
        self.assertEqual([entry["state"] for entry in states], ["present", "applied"])

    def test_a_mistake_is_shown_with_its_line_and_undone(self):
        folder = self.folder(_001_one="create table one (a integer);\n",
                             _002_two="create table two (a integer);\n\n-- é\nselect * from nowhere;\n")
        done = self.ctl("migrate", "--dir", folder, code=1, **self.empty)
        self.assertIn("002_two.sql line 4:", done.stderr)
        self.assertIn("nowhere", done.stderr)
        self.write(folder, "002_two", "create table two (a integer)")
        self.assertIn("002_two.sql", self.ctl("migrate", "--dir", folder, **self.empty).stdout)

    def test_quotes_and_dollars_in_a_file_do_no_harm(self):
        text = "do $$ begin perform 'it''s'; end $$;\ncomment on schema public is 'a\\b ''c'' $1';\n-- end"
        folder = self.folder(_001_odd=text)
        self.ctl("migrate", "--dir", folder, **self.empty)
        states = self.document("migrate", "--dir", folder, **self.empty)["migrations"]
        self.assertEqual(states[0]["state"], "present")

    def test_a_newer_database_is_told(self):
        folder = self.folder(_001_one="select 1;", _002_two="select 2;")
        self.ctl("migrate", "--dir", folder, **self.empty)
        os.unlink(os.path.join(folder, "002_two.sql"))
        self.assertIn("newer", self.ctl("migrate", "--dir", folder, **self.empty).stderr)

    def test_the_tables_are_wanted_before_all_else(self):
        for words in (("items", "list"), ("orders", "list"), ("topology",)):
            self.assertIn("checkoutctl migrate", self.ctl(*words, code=1, **self.empty).stderr)


class Topology(CtlTestCase):
    shards = 2

    def test_again_is_fine(self):
        document = self.document("topology")
        self.assertEqual((document["shards"], document["exchange"]), (2, "checkout.jobs.2"))

    def test_another_number_is_refused_and_leaves_nothing_behind(self):
        done = self.ctl("topology", code=2, CHECKOUT_SHARDS="64")
        self.assertIn("CHECKOUT_SHARDS", done.stderr)
        self.assertIn("2 shards are in service", done.stderr)
        self.assertEqual(self.stack.one("select count(*) from shards"), 2)

    def test_another_secret_is_refused(self):
        path = self.path("secret", "x" * 40)
        done = self.ctl("topology", code=2, CHECKOUT_ORDER_SECRET_FILE=path)
        self.assertIn("CHECKOUT_ORDER_SECRET_FILE", done.stderr)

    def test_other_arguments_are_refused(self):
        done = self.ctl("topology", code=1, CHECKOUT_QUEUE_MAX_BYTES="2097152")
        self.assertIn("checkout.jobs.2.", done.stderr)
        self.assertIn("other arguments", done.stderr)

    def test_progress_is_shown_on_a_terminal_only(self):
        self.assertEqual(self.ctl("topology").stderr, "")
        ours, theirs = pty.openpty()
        done = subprocess.run([harness.program("checkoutctl"), "topology"], stderr=theirs, check=True,
                              env=harness.program_environment(self.stack.settings),
                              stdout=subprocess.DEVNULL, timeout=30)
        os.close(theirs)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"declaring exchanges and queues:", os.read(ours, 65536))
        os.close(ours)


class Items(CtlTestCase):
    def sku(self):
        return f"ctl-{uuid.uuid4().hex[:12]}"

    def row(self, sku):
        return self.stack.sql("select shard, title, price, currency, stock, limit_per_user, gate, opens_at"
                              " is not null, closes_at is not null from items where sku = %s", (sku,))

    def test_tables_fit_the_terminal(self):
        sku = self.stack.item(f"fit-{uuid.uuid4().hex}", title="Ein sehr schönes, langes Kleid aus den Zwanzigern",
                              price=199900, currency="isk")
        for columns in (60, 80, 120, 200):
            with self.subTest(columns=columns):
                lines, missing = self.at_terminal(columns, "items", "list")
                self.assertLessEqual(max(map(len, lines)), columns)
                mine = next(line for line in lines if sku in line)
                self.assertRegex(mine, r"Ein s.*(~|\.\.\.) +1999\.00  isk\b")
                self.assertEqual("more columns need a wider terminal" in missing, columns < 200)
        whole = next(line for line in self.ctl("items", "list").stdout.splitlines() if sku in line)
        self.assertNotIn("~", whole)

    def refused(self, text, *expected):
        """The whole file is refused; each expected is (line, field, part of the problem)."""
        path = self.path("bad.csv", text)
        before = self.stack.one("select count(*) from items")
        document = self.document("items", "import", path, code=1)
        found = [(entry["line"], entry["field"]) for entry in document["problems"]]
        self.assertEqual(found, [(line, field) for line, field, _ in expected])
        for entry, (_, _, part) in zip(document["problems"], expected):
            self.assertIn(part, entry["problem"])
        self.assertEqual(document["imported"], 0)
        self.assertEqual(self.stack.one("select count(*) from items"), before)
        human = self.ctl("items", "import", path, code=1)
        for line, _, part in expected:
            self.assertRegex(human.stderr, rf"(?m)^{re.escape(path)}:{line}: .*{re.escape(part)}")

    def test_columns_in_any_order(self):
        a, b = self.sku(), self.sku()
        path = self.path("items.csv", "\ufeffgate,stock,currency,closes_at,title,price,sku,limit_per_user,"
                         "opens_at\r\n"
                         f'lock,1,usd,,"Dress, ""1920s"", schön",129900,{a},,2026-01-01T00:00:00Z\r\n\r\n'
                         f",100,eur,2030-01-01T00:00:00.5Z,\"two\r\nlines\",9900,{b},2,\r\n")
        # a title is one line of text
        document = self.document("items", "import", path, code=1)
        self.assertEqual([(p["line"], p["field"]) for p in document["problems"]], [(4, "title")])
        with open(path, encoding="utf-8", newline="") as source:
            text = source.read().replace('"two\r\nlines"', "pass")
        with open(path, "w", encoding="utf-8", newline="") as sink:
            sink.write(text)
        self.assertEqual(self.document("items", "import", path),
                         {"imported": 2, "existing": [], "problems": [], "warnings": []})
        self.assertEqual(self.row(a), [(self.stack.shard(a), 'Dress, "1920s", schön', 129900, "usd", 1, None,
                                        "lock", True, False)])
        self.assertEqual(self.row(b), [(self.stack.shard(b), "pass", 9900, "eur", 100, 2, "soldout", False,
                                        True)])

    def test_an_existing_item_is_left_alone_and_told(self):
        a, b = self.sku(), self.sku()
        first = self.path("a.csv", f"sku,title,price,currency,stock\n{a},first,100,usd,1\n")
        self.assertIn("1 item imported", self.ctl("items", "import", first).stdout)
        second = self.path("b.csv", f"sku,title,price,currency,stock\n{b},new,100,usd,1\n{a},second,200,usd,2\n")
        done = self.ctl("items", "import", second)
        self.assertIn(f"{a} (line 3) is there already, left alone", done.stdout)
        self.assertEqual(self.row(a)[0][1:3], ("first", 100))
        self.assertEqual(self.document("items", "import", second)["existing"], [b, a])

    def test_every_bad_line_is_named_and_nothing_is_imported(self):
        good = self.sku()
        header = "sku,title,price,currency,stock,limit_per_user,gate,opens_at,closes_at\n"
        lines = (
            f"{good},good,100,usd,1,,,,",
            "a b,t,100,usd,1,,,,",
            ",t,100,usd,1,,,,",
            "x" * 65 + ",t,100,usd,1,,,,",
            f"{self.sku()},,100,usd,1,,,,",
            f"{self.sku()},{'t' * 201},100,usd,1,,,,",
            f"{self.sku()},t,19.99,usd,1,,,,",
            f"{self.sku()},t,0,usd,1,,,,",
            f"{self.sku()},t,100000000000,usd,1,,,,",
            f"{self.sku()},t,100,dollar,1,,,,",
            f"{self.sku()},t,100,usd,-1,,,,",
            f"{self.sku()},t,100,usd,2147483648,,,,",
            f"{self.sku()},t,100,usd,1,0,,,",
            f"{self.sku()},t,100,usd,1,,open,,",
            f"{self.sku()},t,100,usd,1,,,tomorrow,",
            f"{self.sku()},t,100,usd,1,,,2026-02-30T00:00:00Z,",
            f"{self.sku()},t,100,usd,1,,,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z",
            f"{self.sku()},t,100,usd,1,,,",
            f"{self.sku()},t\"t,100,usd,1,,,,",
            f"{self.sku()},\"t\"t,100,usd,1,,,,",
            f"{good},t,100,usd,1,,,,",
            f"{self.sku()},\"not closed,100,usd,1,,,,",
            f"{self.sku()},t,x,dollar,1,,,,",
        )
        self.refused(header + "\n".join(lines) + "\n",
                     (3, "sku", "must be 1 to 64"), (4, "sku", "must be 1 to 64"),
                     (5, "sku", "must be 1 to 64"), (6, "title", "1 to 200 characters"),
                     (7, "title", "1 to 200 characters"), (8, "price", "minor units"),
                     (9, "price", "minor units"), (10, "price", "minor units"),
                     (11, "currency", "three letters"), (12, "stock", "0 or more"),
                     (13, "stock", "0 or more"), (14, "limit_per_user", "at least 1"),
                     (15, "gate", "none, soldout or lock"), (16, "opens_at", "time in UTC"),
                     (17, "opens_at", "time in UTC"), (18, "closes_at", "not after opens_at"),
                     (19, "", "has 8 fields, the header has 9"), (20, "", "there is a quote inside"),
                     (21, "", "something follows a closing quote"), (22, "sku", "already in line 2"),
                     (23, "", "a quote is not closed"), (24, "price", "minor units"),
                     (24, "currency", "three letters"))

    def test_a_bad_header_is_named(self):
        self.refused("", (1, "header", "the file is empty"))
        self.refused("sku,title,price,currency\na,b,1,usd\n", (1, "header", '"stock" is missing'))
        self.refused("sku,title,price,currency,stock,colour\n", (1, "header", '"colour" is no column'))
        self.refused("sku,sku,title,price,currency,stock\n", (1, "header", '"sku" is there twice'))
        self.refused("ID,SKU,Name,Regular price\n1,a,A,5\n", (1, "header", '"ID", "Name", "Regular price" are no'))

    def test_a_price_that_the_gateway_refuses_is_refused_with_the_rule(self):
        header = "sku,title,price,currency,stock\n"
        self.refused(f"{header}{self.sku()},Sticker,25,usd,1\n{self.sku()},Ring,12345,kwd,1\n"
                     f"{self.sku()},Coat,1999,isk,1\n{self.sku()},Hat,100,xyz,1\n",
                     (2, "price", "is 0.25 usd; the least that the gateway takes is 0.50 usd (50)"),
                     (3, "price", "the last of its three decimals must be 0: 12340 or 12350"),
                     (4, "price", "must be 00: 1900 or 2000"), (5, "currency", "no currency that the gateway takes"))

    def test_a_sale_that_is_over_is_imported_with_a_warning(self):
        sku = self.sku()
        path = self.path("past.csv", f"sku,title,price,currency,stock,closes_at\n{sku},t,100,usd,1,2020-01-01T00:00:00Z\n")
        self.assertIn(f"{path}:2: warning: closes_at:", self.ctl("items", "import", path).stderr)
        self.assertEqual(len(self.row(sku)), 1)

    def test_long_titles_are_cut_in_the_list_for_people(self):
        sku, title = self.sku(), "very long " * 20
        path = self.path("long.csv", f"sku,title,price,currency,stock\n{sku},{title},100,usd,1\n")
        self.ctl("items", "import", path)
        before = sku[:-1] + chr(ord(sku[-1]) - 1)
        shown = self.ctl("items", "list", "--after", before, "--limit", "1").stdout
        self.assertIn(title[:37] + "...", shown)
        self.assertLess(max(len(line) for line in shown.splitlines()), 200)
        self.assertEqual(self.lines("items", "list", "--after", before, "--limit", "1")[0]["title"], title)

    def test_skip_bad_imports_the_rest(self):
        good = self.sku()
        path = self.path("mixed.csv", f"sku,title,price,currency,stock\nbad sku,t,100,usd,1\n{good},t,100,usd,1\n")
        document = self.document("items", "import", path, "--skip-bad")
        self.assertEqual((document["imported"], len(document["problems"])), (1, 1))
        self.assertEqual(len(self.row(good)), 1)

    def test_bytes_that_are_no_text(self):
        for data in (b"sku,title,price,currency,stock\na-1,t\xff,1,usd,1\n",
                     b"sku,title,price,currency,stock\na-1,t\x00t,1,usd,1\n",
                     b"sku,title,price,currency,stock\na-1,t\xed\xa0\x80,1,usd,1\n"):
            path = os.path.join(self.stack.directory, "bytes.csv")
            with open(path, "wb") as sink:
                sink.write(data)
            self.assertEqual(self.document("items", "import", path, code=1)["problems"][0]["line"], 2)

    def test_a_file_that_is_not_there(self):
        self.assertIn("/nonexistent.csv", self.ctl("items", "import", "/nonexistent.csv", code=1).stderr)

    def test_thousands_from_the_standard_input(self):
        prefix = self.sku()
        text = "sku,title,price,currency,stock\n" + "".join(f"{prefix}-{i},Item {i},{i + 50},usd,{i}\n"
                                                             for i in range(20000))
        done = subprocess.run([harness.program("checkoutctl"), "items", "import", "-", "--json"], text=True,
                              env=harness.program_environment(self.stack.settings), input=text, check=True,
                              stdout=subprocess.PIPE, timeout=60)
        self.assertEqual(json.loads(done.stdout)["imported"], 20000)
        wrong = self.stack.sql("select sku, shard from items where sku like %s order by sku limit 50",
                               (prefix + "%",))
        for sku, shard in wrong:
            self.assertEqual(shard, self.stack.shard(sku))

    def test_the_list_pages_and_aligns(self):
        skus = sorted(self.stack.item(f"zz-{uuid.uuid4().hex[:8]}", stock=5, title="Größe") for _ in range(3))
        page = self.lines("items", "list", "--after", "zy", "--limit", "2")
        rest = self.lines("items", "list", "--after", page[-1]["sku"])
        self.assertEqual([item["sku"] for item in page + rest], skus)
        self.assertEqual((page[0]["stock"], page[0]["free"], page[0]["state"]), (5, 5, "on sale"))
        done = self.ctl("items", "list", "--after", "zy")
        header, *rows = done.stdout.splitlines()
        column = header.index("STOCK") + len("STOCK")
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertEqual(row[column - 1], "5")


class Orders(CtlTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sku = cls.stack.item(stock=3)
        cls.ids = []
        for n, (user, status, reason) in enumerate((("ann", "confirmed", None), ("bob", "rejected", "sold_out"),
                                                    ("ann", "reserved", None))):
            order = str(uuid.uuid4())
            cls.ids.append(order)
            cls.stack.sql("insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount,"
                          " currency, fingerprint, payment_method, receipt_email, sequence, accepted_at,"
                          " created_at) values (%s, %s, %s, 0, 1, %s, %s, 1000, 'usd', 'f', 'pm_secret_card',"
                          " 'ann@shop.example', 1, now(), now() + %s * interval '1 second')",
                          (order, user, cls.sku, status, reason, n))
            cls.stack.sql("insert into order_events (shard, order_id, sequence, status, reason)"
                          " values (0, %s, 1, %s, %s)", (order, status, reason))
        cls.stack.sql("insert into payments (order_id, shard, state, amount, currency, idempotency_key,"
                      " intent_id) values (%s, 0, 'captured', 1000, 'usd', 'key-1', 'pi_1')", (cls.ids[0],))

    def test_states_and_times_are_whole_or_left_out(self):
        for columns in (80, 120, 200):
            lines, _ = self.at_terminal(columns, "orders", "list")
            self.assertTrue(any(re.search(r" confirmed\b", line) for line in lines), lines)
            self.assertEqual([line for line in lines if re.search(r" 2\d{3}-[\d-]*~", line)], [])

    def test_newest_first_and_filtered(self):
        self.assertEqual([order["id"] for order in self.lines("orders", "list")], self.ids[::-1])
        self.assertEqual([order["id"] for order in self.lines("orders", "list", "--user", "ann")],
                         [self.ids[2], self.ids[0]])
        self.assertEqual([order["id"] for order in self.lines("orders", "list", "--status", "rejected")],
                         [self.ids[1]])
        self.assertEqual(len(self.lines("orders", "list", "--sku", self.sku, "--limit", "2")), 2)
        self.assertEqual(self.lines("orders", "list", "--sku", "nothing"), [])
        self.assertIn("no orders", self.ctl("orders", "list", "--sku", "nothing").stdout)

    def test_one_with_history_and_payments(self):
        document = self.document("orders", "show", self.ids[0])
        self.assertEqual((document["id"], document["status"], document["amount"]),
                         (self.ids[0], "confirmed", 1000))
        self.assertEqual([entry["status"] for entry in document["history"]], ["confirmed"])
        self.assertEqual([(entry["state"], entry["intent_id"]) for entry in document["payments"]],
                         [("captured", "pi_1")])
        text = self.ctl("orders", "show", self.ids[1]).stdout
        self.assertRegex(text, r"(?m)^reason +sold_out$")
        self.assertIn("history", text)

    def test_no_payment_method_and_no_address(self):
        for words in (("orders", "list"), ("orders", "show", self.ids[0])):
            for extra in ((), ("--json",)):
                text = self.ctl(*words, *extra).stdout
                self.assertNotIn("pm_secret_card", text)
                self.assertNotIn("ann@shop.example", text)

    def test_an_order_that_is_not_there(self):
        self.assertIn("no consumer has decided order", self.ctl("orders", "show", str(uuid.uuid4()), code=1).stderr)


class Token(CtlTestCase):
    def decode(self, token, audience):
        secret = self.stack.ticket_secret() if audience == "checkout-events" else self.stack.secrets["JWT_SECRET"]
        return jwt.decode(token, secret, algorithms=["HS256"], audience=audience)

    def test_for_the_api(self):
        claims = self.decode(self.ctl("token", "--user", "ann").stdout.strip(), "checkout")
        self.assertEqual(claims["sub"], "ann")
        self.assertEqual(claims["exp"] - claims["iat"], 3600)

    def test_for_the_websocket_and_a_time(self):
        document = self.document("token", "--user", "bob", "--ttl", "90s", "--aud", "events")
        claims = self.decode(document["token"], "checkout-events")
        self.assertEqual((claims["sub"], claims["exp"] - claims["iat"]), ("bob", 90))
        self.assertEqual(document["user"], "bob")

    def test_it_needs_the_secret_only(self):
        path = self.stack.settings["CHECKOUT_JWT_SECRET_FILE"]
        done = subprocess.run([harness.program("checkoutctl"), "token", "--user", "ann"], text=True,
                              env={"CHECKOUT_JWT_SECRET_FILE": path}, stdout=subprocess.PIPE, check=True)
        self.assertEqual(self.decode(done.stdout.strip(), "checkout")["sub"], "ann")


class Pooler:
    """Passes bytes on, and makes up the number of the server's process, as poolers of connections do."""

    LOGIN = b"K\0\0\0\x0c"

    def __init__(self, host, port):
        self._target, self._socket = (host, port), socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, server = self._socket.accept()[0], socket.create_connection(self._target)
                threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source, drain, changes):
        with contextlib.suppress(OSError), source:
            while data := source.recv(65536):
                at = data.find(self.LOGIN) + len(self.LOGIN)
                if changes and at >= len(self.LOGIN):
                    data, changes = data[:at] + b"\0\x7f\0\0" + data[at + 4:], False
                drain.sendall(data)
            drain.shutdown(socket.SHUT_WR)


class Doctor(CtlTestCase):
    shards = 2

    def findings(self, level, code=0, **settings):
        document = self.document("doctor", code=code, **settings)
        self.assertEqual(document["ok"], code == 0)
        return [f"{f['subject']}: {f['text']} -> {f['advice']}" for f in document["findings"]
                if f["level"] == level]

    def expect_failure(self, expected, **settings):
        failures = self.findings("fail", code=1, **settings)
        self.assertTrue(any(re.search(expected, failure) for failure in failures),
                        f"none of {failures} says {expected}")

    def setUp(self):
        if not self.stack.daemons:
            self.stack.start("sandbox")

    def test_the_gateway_is_asked(self):
        self.assertIn("ok    gateway       it answers, and lists payments to our key", self.ctl("doctor").stdout)
        self.expect_failure(r"gateway: it refuses our key \(http_401\) -> set CHECKOUT_GATEWAY_KEY_FILE right",
                            CHECKOUT_GATEWAY_KEY_FILE=self.stack.write_secret("other-key", "sk_test_other_key"))
        self.expect_failure(r"gateway: it refuses the connection \(connection_refused\)",
                            CHECKOUT_GATEWAY_URL=f"http://127.0.0.1:{harness.free_port()}")
        self.expect_failure(r"gateway: its host has no address \(host_unknown\)",
                            CHECKOUT_GATEWAY_URL="http://gateway.invalid")
        self.assertTrue(any(f.startswith("gateway: it is not asked: CHECKOUT_GATEWAY_KEY_FILE") for f in
                            self.findings("warn", CHECKOUT_GATEWAY_KEY_FILE=None)))

    def test_nothing_to_mend(self):
        self.assertEqual(self.findings("fail"), [])
        human = self.ctl("doctor").stdout
        self.assertRegex(human, r"(?m)^ok    postgresql    PostgreSQL \d+")
        self.assertRegex(human, r"(?m)^ok    rabbitmq      RabbitMQ \d+")
        self.assertRegex(human, r"(?m)^ok    redis         Redis \d+")
        self.assertIn("0 to mend", human)

    def test_it_fits_the_terminal(self):
        for columns in (60, 80, 120):
            lines, _ = self.at_terminal(columns, "doctor")
            self.assertEqual([line for line in lines if len(line) > columns and " " in line.strip()], [])
        flat = " ".join(" ".join(lines).split())
        for line in self.ctl("doctor").stdout.splitlines():
            self.assertIn(" ".join(line.split()), flat)

    def test_nothing_is_made(self):
        self.stack.broker.delete()
        try:
            self.expect_failure("queues: .*missing.*checkoutctl topology")
            self.expect_failure("queues: .*missing")  # still: the first look has made nothing
        finally:
            self.ctl("topology")

    def test_each_thing_that_is_wrong(self):
        down = harness.free_port()
        self.expect_failure("redis: .*refused", CHECKOUT_REDIS_URL=f"redis://127.0.0.1:{down}/0")
        self.expect_failure("postgresql: .*refused",
                            CHECKOUT_DATABASE_URL=f"postgresql://u:p@127.0.0.1:{down}/x")
        self.expect_failure("rabbitmq: .*refused", CHECKOUT_AMQP_URL=f"amqp://u:p@127.0.0.1:{down}/")
        self.expect_failure("shards: 2 are in service, CHECKOUT_SHARDS is 4", CHECKOUT_SHARDS="4")
        self.expect_failure("queues: .*other arguments", CHECKOUT_QUEUE_MAX_BYTES="2097152")
        self.expect_failure("secrets: CHECKOUT_ORDER_SECRET_FILE is not the secret",
                            CHECKOUT_ORDER_SECRET_FILE=self.path("other", "y" * 40))

    def test_a_secret_that_others_may_write_or_read(self):
        path = self.path("open", self.stack.secrets["JWT_SECRET"])
        os.chmod(path, 0o666)
        self.expect_failure("secrets: CHECKOUT_JWT_SECRET_FILE.*written by others",
                            CHECKOUT_JWT_SECRET_FILE=path)
        os.chmod(path, 0o644)
        warnings = self.findings("warn", CHECKOUT_JWT_SECRET_FILE=path)
        self.assertTrue(any("every user may read" in warning for warning in warnings), warnings)

    def test_weak_durability(self):
        database = self.stack.database
        self.stack.sql(f"alter database {database} set synchronous_commit = off")
        try:
            self.expect_failure("postgresql: synchronous_commit is off")
        finally:
            self.stack.sql(f"alter database {database} reset synchronous_commit")

    def test_a_server_that_takes_no_writes(self):
        url = self.stack.settings["CHECKOUT_DATABASE_URL"] + "?options=-c%20default_transaction_read_only%3Don"
        self.expect_failure("postgresql: .*read-only", CHECKOUT_DATABASE_URL=url)
        self.expect_failure("postgresql: it takes no writes -> take target_session_attrs out",
                            CHECKOUT_DATABASE_URL=url + "&target_session_attrs=any")

    def test_a_pooler_in_between(self):
        target = urllib.parse.urlsplit(self.stack.settings["CHECKOUT_DATABASE_URL"])
        pooler = Pooler(target.hostname, target.port)
        self.addCleanup(pooler.close)
        address = target.netloc.rpartition("@")[0] + f"@127.0.0.1:{pooler.port}"
        warnings = self.findings("warn", CHECKOUT_DATABASE_URL=target._replace(netloc=address).geturl())
        self.assertTrue(any("there is a connection pooler in between" in warning for warning in warnings), warnings)
        self.assertFalse(any("pooler" in warning for warning in self.findings("warn")))

    def test_missing_and_changed_migrations(self):
        kept = self.stack.sql("select version, name, checksum from public.checkout_migrations"
                              " order by version desc limit 1")[0]
        self.stack.sql("update public.checkout_migrations set checksum = 'x' where version = %s", (kept[0],))
        self.expect_failure("migrations: 1 of .* applied with other content")
        self.stack.sql("delete from public.checkout_migrations where version = %s", (kept[0],))
        self.expect_failure("migrations: 1 of .* missing -> run `checkoutctl migrate`")
        self.stack.sql("insert into public.checkout_migrations (version, name, checksum) values (%s, %s, %s)",
                       kept)
        self.assertEqual(self.findings("fail"), [])

    def test_functions_of_another_version(self):
        self.stack.sql("update public.checkout_functions set checksum = 'x' || checksum where name = 'decide.sql'")
        self.expect_failure("migrations: the functions are those of another version -> run `checkoutctl migrate`")
        self.stack.sql("update public.checkout_functions set checksum = substr(checksum, 2) where name = 'decide.sql'")
        self.assertEqual(self.findings("fail"), [])

    def test_messages_that_another_program_holds_back_are_told(self):
        stranger = pika.BlockingConnection(pika.URLParameters(self.stack.direct["CHECKOUT_AMQP_URL"]))
        self.addCleanup(self.stack.broker.purge)
        self.addCleanup(stranger.close)
        channel = stranger.channel()
        channel.basic_qos(prefetch_count=1)
        for shard in range(self.shards):
            channel.basic_consume(f"checkout.jobs.{self.shards}.{shard}", lambda *_: None)
        sku = self.stack.item()
        for n in range(4):
            self.stack.publish_jobs(self.stack.job(f"user-{n}", sku))
        harness.wait_until(lambda: "queues: 3 messages wait, and no order was decided for 10 s" in "\n".join(self.findings("warn")),
                           15, "the messages to be told")

    def test_dead_messages_and_live_consumers_are_told(self):
        consumer = self.stack.start("consumer")
        self.addCleanup(consumer.stop)
        self.stack.publish(0, b"nonsense")
        harness.wait_until(lambda: any("1 dead messages" in warning for warning in self.findings("warn")),
                           10, "the dead message is told")
        self.stack.dead_letters()
        document = self.document("doctor")
        texts = [finding["text"] for finding in document["findings"]]
        self.assertIn("1 alive and ready", texts)
        self.assertTrue(any("all have consumers" in text for text in texts), texts)


if __name__ == "__main__":
    unittest.main(verbosity=2)
