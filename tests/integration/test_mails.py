#!/usr/bin/python3
"""Buyers are told by mail: each event has one row in the table, and arrives at least once, under one Message-ID."""

import contextlib
import json
import os
import socket
import subprocess
import time
import uuid

import psycopg2

import harness
from harness import free_port, wait_until
from harness_mail import Inbox
from harness_tls import Authority

ASKS = "pm_card_authenticationRequired"
MAILS = {"CHECKOUT_MAIL": "true", "CHECKOUT_MAIL_TO_ANY": "true", "CHECKOUT_MAIL_FROM": "shop@example.org",
         "CHECKOUT_MAIL_FROM_NAME": "Ännes \"Laden\"", "CHECKOUT_SMTP_TLS": "false", "CHECKOUT_SMTP_TIMEOUT": "2s",
         "CHECKOUT_MAIL_ORDER_URL": "https://shop.example/order?lang=x#top", "CHECKOUT_LOG_LEVEL": "debug"}


class TestCase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    settings = MAILS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inbox = Inbox()
        cls.addClassCleanup(cls.inbox.close)
        cls.stack.settings["CHECKOUT_SMTP_URL"] = f"smtp://127.0.0.1:{cls.inbox.port}"
        cls.sku = cls.stack.item(stock=1000, price=1999, title="A dress")

    def order(self, to, sku=None, **members):
        return self.stack.order("ann", sku or self.sku, receipt_email=to, **members)

    def row(self, order, kind="confirmed"):
        """(state, attempts, problem) of a mail; None: there is none."""
        rows = self.stack.sql("select state, attempts, problem from mails where order_id = %s and kind = %s",
                              (order.id, kind))
        return rows[0] if rows else None

    def ended(self, order, state, kind="confirmed"):
        wait_until(lambda: (self.row(order, kind) or ("",))[0] == state, 30,
                   lambda: f"the mail of {order.id} to be {state}; it is {self.row(order, kind)}")
        return self.row(order, kind)

    def hurry(self, order):
        """What waits for its next attempt, or for a claim to run out, is due now."""
        self.stack.sql("update mails set due_at = now() where order_id = %s and state = 'due'", (order.id,))

    def tried(self, order, times):
        """Waits until it was tried so often and waits for the next attempt."""
        wait_until(lambda: self.stack.sql("select 1 from mails where order_id = %s and attempts >= %s and claimed_by is null",
                                          (order.id, times)), 30, f"attempt {times} of the mail of {order.id}")


class Mails(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mailer = cls.stack.start("mailer")

    def test_a_confirmed_order_is_told_in_its_buyers_language(self):
        sku = self.stack.item(stock=3, price=1999, title="Ein <b>Kleid</b> & Schuhe, für 20\u00a0Jahre")
        order = self.order("ann@example.org", sku, quantity=2, locale="de-AT", reference="cart-7").wait("confirmed")
        mail, = self.inbox.wait("ann@example.org")
        self.assertEqual((mail.sender, mail.recipients), ("shop@example.org", ["ann@example.org"]))
        head = mail.parsed
        self.assertEqual(head["From"].addresses[0].display_name, 'Ännes "Laden"')
        self.assertEqual(head["From"].addresses[0].addr_spec, "shop@example.org")
        self.assertEqual((str(head["To"]), head["Subject"], head["Content-Language"], head["Auto-Submitted"]),
                         ("ann@example.org", 'Ihre Bestellung bei Ännes "Laden" ist bestätigt', "de", "auto-generated"))
        self.assertEqual(mail.id, f"<{order.id}.confirmed@example.org>")
        created = self.stack.one("select created_at from mails where order_id = %s", (order.id,))
        self.assertEqual(head["Date"].datetime, created.replace(microsecond=0))
        self.assertNotIn(b"\n", mail.raw.replace(b"\r\n", b""))
        self.assertLessEqual(max(map(len, mail.raw.split(b"\r\n"))), 78)
        link = f"https://shop.example/order?lang=x&order={order.id}#top"
        for text in ("2 × Ein <b>Kleid</b> & Schuhe, für 20\u00a0Jahre: 39.98 USD", order.id, "cart-7", link):
            self.assertIn(text, mail.part("plain"))
        for text in ("Ein &lt;b&gt;Kleid&lt;/b&gt; &amp; Schuhe", "39.98 USD", 'href="' + link.replace("&", "&amp;") + '"'):
            self.assertIn(text, mail.part("html"))
        self.assertEqual(self.ended(order, "sent"), ("sent", 1, None))

    def test_a_refund_is_told_too_and_each_event_once(self):
        order = self.order("bob@example.org").wait("confirmed")
        self.inbox.wait("bob@example.org")
        self.stack.ctl("orders", "refund", order.id)
        order.wait("refunded")
        first, second = self.inbox.wait("bob@example.org", 2)
        self.assertIn("refunded", second.parsed["Subject"])
        self.assertEqual((first.id, second.id),
                         tuple(f"<{order.id}.{kind}@example.org>" for kind in ("confirmed", "refunded")))
        self.ended(order, "sent", "refunded")

    def test_a_buyer_whose_bank_asks_is_told_where_to_act_and_until_when(self):
        self.order("turn@example.org", payment_method=ASKS)
        mail, = self.inbox.wait("turn@example.org")
        self.assertIn("Your turn", mail.parsed["Subject"])
        until = self.stack.one("select to_char(p.action_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI') from payments p "
                               "join orders o using (order_id) where o.mail_to = 'turn@example.org'")
        for kind in ("plain", "html"):
            self.assertIn(f"until {until} UTC", mail.part(kind))
            self.assertNotIn("_secret_", mail.part(kind))
            self.assertNotIn("stripe", mail.part(kind).lower())

    def test_who_gives_no_address_and_what_is_not_chosen_has_no_row(self):
        silent = self.stack.order("ann", self.sku).wait("confirmed")
        refused = self.order("no@example.org", unit_price=1).wait("rejected")
        self.assertEqual(self.stack.sql("select * from mails where order_id in (%s, %s)", (silent.id, refused.id)), [])

    def test_a_shop_may_choose_no_mails(self):
        self.assertEqual(self.stack.ctl("mails", "kinds").stdout, "mails are written about: confirmed,refunded,action\n")
        self.assertEqual(self.stack.ctl("mails", "kinds", "").stdout, "mails are written about: nothing\n")
        self.assertEqual(self.stack.ctl("mails", "kinds").stdout, "mails are written about: nothing\n")
        try:
            order = self.order("quiet@example.org").wait("confirmed")
        finally:
            self.stack.ctl("mails", "kinds", "confirmed,refunded,action")
        self.assertEqual(self.stack.sql("select * from mails where order_id = %s", (order.id,)), [])
        for wrong in (",", "confirmed,", ",confirmed"):
            self.assertEqual(self.stack.ctl("mails", "kinds", wrong, check=False).returncode, 2, wrong)

    def test_refusals_and_the_line_are_told_where_the_shop_chooses(self):
        self.stack.ctl("mails", "kinds", "confirmed,rejected,waiting")
        try:
            refused = self.order("no2@example.org", unit_price=1).wait("rejected")
            sku = self.stack.item(stock=1)
            _, waits = (self.order(to, sku, payment_method=ASKS) for to in ("h@example.org", "line@example.org"))
            waits.wait("waiting")
            soon = self.stack.one("select due_at - created_at from mails where order_id = %s", (waits.id,))
        finally:
            self.stack.ctl("mails", "kinds", "confirmed,refunded,action")
        self.assertEqual(soon.total_seconds(), 60)
        self.inbox.wait("no2@example.org")
        self.hurry(waits)
        self.assertIn("in line", self.inbox.wait("line@example.org")[0].parsed["Subject"])
        self.ended(refused, "sent", "rejected")

    def test_news_that_is_stale_is_dropped(self):
        self.stack.ctl("mails", "kinds", "waiting")
        try:
            sku = self.stack.item(stock=1)
            self.order("h2@example.org", sku, payment_method=ASKS)
            waits = self.order("gone@example.org", sku).wait("waiting")
        finally:
            self.stack.ctl("mails", "kinds", "confirmed,refunded,action")
        self.assertEqual(self.stack.call("ann", "DELETE", f"/v1/orders/{waits.id}").status, 202)
        waits.wait("cancelled")
        self.hurry(waits)
        self.assertEqual(self.ended(waits, "dropped", "waiting"), ("dropped", 0, "stale"))
        self.assertEqual(self.inbox.of("gone@example.org"), [])

    def test_the_address_of_the_token_counts_and_one_that_is_not_verified_is_none(self):
        def order(**claims):
            token = self.stack.token("tom", **claims)
            answer = self.stack.call(None, "POST", "/v1/orders", {
                "sku": self.sku, "quantity": 1, "payment_method": "pm_card_visa", "receipt_email": "body@example.org"},
                {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex})
            return harness.Order(self.stack, "tom", answer.json["id"]).wait("confirmed")

        def told(order):
            return self.stack.one("select mail_to from orders where order_id = %s", (order.id,))
        self.assertEqual(told(order(email="tom@example.org", email_verified=True)), "tom@example.org")
        for claims in ({"email": "tom@example.org"}, {"email": "tom@example.org", "email_verified": "true"},
                       {"email": "t,om@example.org", "email_verified": True}, {"email": 1, "email_verified": True}):
            self.assertEqual(told(order(**claims)), "body@example.org")
        strict = self.stack.start("producer", CHECKOUT_MAIL_TO_ANY="false")
        try:
            self.assertIsNone(told(order(email="tom@example.org", email_verified=False)))
            self.assertEqual(told(order(email="tom2@example.org", email_verified=True)), "tom2@example.org")
        finally:
            strict.stop()

    def test_locales_are_checked_at_the_door(self):
        for locale in ("d", "de_AT", "de-", "-de", "de\r\nX: y", "abcdefghi", 7, ""):
            with self.subTest(locale=locale):
                self.assertEqual(self.stack.post("ann", self.sku, locale=locale).status, 400)

    def test_nothing_in_a_title_or_reference_speaks_smtp(self):
        title = "x\r\n.\r\nRCPT TO:<eve@example.org>\r\nSubject: y\r\n\r\nBcc: eve@example.org"
        self.stack.sql("alter table items disable trigger user")
        sku = self.stack.item(title="plain")
        self.stack.sql("update items set title = %s where sku = %s", (title, sku))
        order = self.order("inject@example.org", sku, reference="\"><script>{{order}}</script>%0d%0a.").wait("confirmed")
        mail, = self.inbox.wait("inject@example.org")
        self.assertEqual(len(mail.parsed.keys()), len(set(mail.parsed.keys())))
        self.assertNotIn("Bcc", mail.parsed)
        self.assertNotIn("<script>", mail.part("html"))
        self.assertIn("{{order}}", mail.part("plain"))
        self.assertEqual([to for _, to in self.inbox.commands if "eve" in to], [])
        self.ended(order, "sent")

    def test_a_mailer_is_seen_while_it_lives_and_not_when_it_has_left(self):
        def seen():
            return self.stack.one("select count(*) from checkout.list_daemons() where program = 'mailer' and ready")
        second = self.stack.start("mailer")
        wait_until(lambda: seen() == 2, 20, "heartbeats of both")
        second.stop()
        self.assertEqual(seen(), 1)
        self.assertRegex(self.stack.ctl("doctor", check=False).stdout, "ok +mailers +1 alive and ready")
        self.assertIn("\nmailers ready: 1\n", self.stack.ctl("top", "--once").stdout)

    def test_lines_of_dots_arrive_as_they_are(self):
        sku = self.stack.item(title=". and\u2028..")
        self.order("dots@example.org", sku).wait("confirmed")
        self.assertIn("1 × . and\u2028..", self.inbox.wait("dots@example.org")[0].part("plain"))

    def test_an_address_beyond_ascii_is_reached(self):
        for to, reached in (("jürgen@example.org", "jürgen@example.org"), ("ann@bücher.example", "ann@xn--bcher-kva.example")):
            self.order(to).wait("confirmed")
            self.inbox.wait(reached)

    def test_an_address_has_a_bound_for_each_hour(self):
        self.stack.sql("insert into mail_counts values (date_trunc('hour', now()), sha256('much@example.org'), 30)")
        order = self.order("Much@example.org").wait("confirmed")
        wait_until(lambda: "CHECKOUT_MAIL_PER_ADDRESS" in (self.row(order)[2] or ""), 30, "it to wait for the next hour")
        self.assertEqual(self.stack.one("select due_at = date_trunc('hour', now()) + interval '1 hour' from mails "
                                        "where order_id = %s", (order.id,)), True)
        self.assertEqual(self.inbox.of("Much@example.org"), [])


class Faults(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mailer = cls.stack.start("mailer")

    def test_what_is_refused_for_good_is_recorded_and_tried_again_on_command(self):
        for to, problem in (("rejected-1@example.org", "refused: 550 5.1.1"), ("refused-1@example.org", "refused: 554")):
            order = self.order(to).wait("confirmed")
            self.assertEqual(self.ended(order, "failed"), ("failed", 1, problem))
            shown = json.loads(self.stack.ctl("mails", "show", order.id, "--json").stdout)
            self.assertEqual((shown["mail_to"], shown["problem"]), (to, problem))
            listed = [json.loads(line) for line in self.stack.ctl("mails", "list", "--state", "failed", "--json")
                      .stdout.splitlines()]
            self.assertIn(order.id, [mail["order_id"] for mail in listed])
            self.stack.ctl("mails", "retry", str(shown["mail_id"]))
            self.inbox.wait(to, timeout=4)
            self.assertEqual(self.ended(order, "sent"), ("sent", 2, None))
            self.assertEqual(self.stack.ctl("mails", "retry", str(shown["mail_id"]), check=False).returncode, 1)

    def test_what_is_refused_for_now_or_cut_is_tried_again(self):
        orders = {to: self.order(to).wait("confirmed") for to in (
            "shy-1@example.org", "busy-2@example.org", "closed-1@example.org", "slow@example.org",
            "closing-1@example.org", "greylisted-2@example.org", "throttled-1@example.org")}
        for to, order in orders.items():
            for times in range(1, int(to.partition("@")[0].partition("-")[2] or 0) + 1):
                self.tried(order, times)
                self.hurry(order)
            self.assertEqual(len(self.inbox.wait(to)), 1)
            self.ended(order, "sent")

    def test_a_refund_is_told_after_the_confirmation_however_late_that_is(self):
        order = self.order("greylisted-1@late.example").wait("confirmed")
        self.tried(order, 1)
        self.assertEqual(self.row(order)[2], "refused: 450 4.2.0")
        self.stack.ctl("orders", "refund", order.id)
        order.wait("refunded")
        wait_until(lambda: self.stack.one("select due_at > now() + interval '5 s' and attempts = 0 from mails "
                                          "where kind = 'refunded' and order_id = %s", (order.id,)), 10, "the refund's to wait")
        self.hurry(order)
        self.ended(order, "sent")
        self.hurry(order)
        mails = self.inbox.wait("greylisted-1@late.example", 2)
        self.assertEqual([mail.id for mail in mails], [f"<{order.id}.{kind}@example.org>" for kind in ("confirmed", "refunded")])

    def test_a_mail_whose_answer_was_lost_comes_twice_under_one_id(self):
        order = self.order("lost-1@example.org").wait("confirmed")
        self.tried(order, 1)
        self.hurry(order)
        first, second = self.inbox.wait("lost-1@example.org", 2)
        self.assertEqual(first.id, second.id)
        self.assertEqual(first.raw, second.raw)
        self.ended(order, "sent")

    def test_a_mailbox_that_never_answers_delays_nobody(self):
        began = time.monotonic()
        silent = [self.order(f"{fault}@example.org").wait("confirmed") for _ in range(10) for fault in ("silent", "mute")]
        wait_until(lambda: {"silent@example.org", "mute@example.org"} <= self.inbox.tries.keys(), 30, "the first attempts")
        others = [self.order(f"other{n}@example.org").wait("confirmed") for n in range(3)]
        for n, order in enumerate(others):
            self.inbox.wait(f"other{n}@example.org", timeout=10)
            self.ended(order, "sent")
            self.assertEqual(self.stack.sql("select o.mail_to from mails m join orders o using (order_id) where m.state = 'due' "
                                            "and m.claimed_by is not null and m.due_at > now() group by 1 having count(*) > 1"), [])
        tried = sum((self.row(order) or ("", 0))[1] > 0 for order in silent)
        self.assertLessEqual(tried, 2 * (1 + (time.monotonic() - began) / 2))   # each of the two has one at a time, for 2 s
        self.assertIn("for a mailer", self.late(silent))
        self.stack.sql("update mails set state = 'dropped' where order_id = any (%s::uuid[])",
                       ([order.id for order in silent],))

    def test_thousands_to_one_address_delay_nobody(self):
        first = self.order("many@example.org").wait("confirmed")
        self.ended(first, "sent")
        self.stack.sql("update mail_counts set mails = 30 where address = sha256('many@example.org')")
        self.stack.sql("insert into orders select r.* from orders o, generate_series(1, 4000) n, jsonb_populate_record(o, "
                       "jsonb_build_object('order_id', md5(n::text))) r where o.order_id = %s", (first.id,))
        self.stack.sql("insert into mails (order_id, kind, due_at) select order_id, 'confirmed', now() - interval '1 minute' "
                       "from orders where mail_to = 'many@example.org' and order_id <> %s", (first.id,))
        self.order("few@example.org").wait("confirmed")
        self.inbox.wait("few@example.org", timeout=10)
        self.assertEqual(len(self.inbox.of("many@example.org")), 1)

    def late(self, orders):
        """What doctor says if these wait for long."""
        self.mailer.freeze()
        try:
            self.stack.sql("update mails set due_at = now() - interval '1 hour' where order_id = any (%s::uuid[]) "
                           "and state = 'due'", ([order.id for order in orders],))
            return self.stack.ctl("doctor", check=False).stdout
        finally:
            self.mailer.thaw()

    def test_a_queue_that_grew_after_a_quiet_time_is_read_no_further_than_it_is_taken(self):
        order = self.order("queue@example.org").wait("confirmed")
        with psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"]) as session, session.cursor() as cursor:
            cursor.execute("set search_path = checkout; analyze mails; analyze orders")
            self.pages(cursor, 0)       # makes the plans, which stay
            cursor.execute("insert into orders select (json_populate_record(o, json_build_object("
                           "    'order_id', md5(n::text)::uuid, 'mail_to', 'queue-' || n || '@example.org'))).* "
                           "from orders o, generate_series(1, 3000) n where o.order_id = %s", (order.id,))
            cursor.execute("insert into mails (order_id, kind) select md5(n::text)::uuid, 'confirmed' "
                           "from generate_series(1, 3000) n returning mail_id")
            claim, finish = self.pages(cursor, cursor.fetchone()[0])
            self.assertLess(claim, 2000)
            self.assertLess(finish, 60)
            session.rollback()

    def pages(self, cursor, mail):
        """How many pages a claim of 16 mails reads, and the record of an attempt."""
        read = []
        for call in ("claim_mails('test', 16, 60000, 30)", f"finish_mail({mail}, 1, 'due', 'busy', 1000)"):
            cursor.execute("explain (analyze, buffers, format json) select * from " + call)
            read.append(cursor.fetchone()[0][0]["Plan"]["Shared Hit Blocks"])
        return read

    def test_two_mailers_share_the_work_and_one_that_dies_leaves_it_to_the_other(self):
        second = self.stack.start("mailer", CHECKOUT_SMTP_TIMEOUT="30s")
        orders = {f"slow+{n}@example.org": self.order(f"slow+{n}@example.org").wait("confirmed") for n in range(24)}
        wait_until(lambda: self.stack.sql("select 1 from mails where state = 'due' and claimed_by like %s",
                                          (f"%:{second.pid}",)), 30, "the second mailer to have some")
        second.kill()
        for order in orders.values():
            self.stack.sql("update mails set due_at = now() where order_id = %s and state = 'due' and claimed_by like %s",
                           (order.id, f"%:{second.pid}"))
        for to, order in orders.items():
            self.ended(order, "sent")
            self.assertEqual(len({mail.id for mail in self.inbox.wait(to)}), 1)
        self.assertLessEqual(len([mail for mail in self.inbox.mails if "slow+" in mail.recipients[0]]), 24 + 16)

    def test_no_address_is_in_the_log(self):
        self.order("rejected@canary.example").wait("confirmed")
        wait_until(lambda: b"mail failed" in self.mailer.log_text(), 30, "the failure in the log")
        for daemon in self.stack.daemons:
            self.assertNotIn(b"canary.example", daemon.log_text())


class Servers(TestCase):
    """TLS, logins, several mail servers, and none."""

    settings = {**MAILS, "CHECKOUT_SMTP_TLS": "true"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = Authority(cls.stack.directory, "authority")
        cls.certificate = cls.authority.issue("mail", hosts=("localhost",))

    def inbox_of(self, **options):
        inbox = Inbox(**options)
        self.addCleanup(inbox.close)
        return inbox

    def start(self, url, **settings):
        mailer = self.stack.start("mailer", CHECKOUT_SMTP_URL=url, CHECKOUT_SMTP_CA_FILE=self.authority.path, **settings)
        self.addCleanup(mailer.stop)
        return mailer

    def test_starttls_and_login(self):
        inbox = self.inbox_of(certificate=self.certificate, login=("shop@x", "p:w/@ ä"))
        password = self.stack.directory + "/smtp-password"
        with open(password, "w", encoding="utf-8") as sink:
            sink.write("p:w/@ ä\n")
        self.start(f"smtp://shop%40x@localhost:{inbox.port}", CHECKOUT_SMTP_PASSWORD_FILE=password)
        order = self.order("tls@example.org").wait("confirmed")
        inbox.wait("tls@example.org")
        self.assertEqual(inbox.logins, [("shop@x", "p:w/@ ä")])
        self.ended(order, "sent")

    def test_tls_from_the_start(self):
        inbox = self.inbox_of(certificate=self.certificate, implicit=True)
        self.start(f"smtps://localhost:{inbox.port}")
        self.order("smtps@example.org").wait("confirmed")
        inbox.wait("smtps@example.org")

    def test_a_login_is_told_to_nobody_without_tls(self):
        inbox = self.inbox_of()
        mailer = self.start(f"smtp://shop:secret@localhost:{inbox.port}", CHECKOUT_SMTP_TLS="false")
        order = self.order("plain@example.org").wait("confirmed")
        wait_until(lambda: b"no_starttls" in mailer.log_text(), 30, "the mailer to say why")
        self.assertEqual((inbox.commands, inbox.logins), ([], []))
        self.stack.sql("update mails set state = 'dropped' where order_id = %s", (order.id,))

    def test_a_certificate_of_another_host_or_a_wrong_login_sends_nothing(self):
        other = self.inbox_of(certificate=self.authority.issue("other", hosts=("other.example",)))
        wrong = self.inbox_of(certificate=self.certificate, login=("shop", "right"))
        mailer = self.start(f"smtp://localhost:{other.port},smtp://shop:wrong@localhost:{wrong.port}")
        order = self.order("nobody@example.org").wait("confirmed")
        wait_until(lambda: b"login_refused" in mailer.log_text(), 30, "the mailer to say why")
        self.assertEqual((other.commands, wrong.commands), ([], []))
        self.assertNotIn(b"wrong", mailer.log_text())
        self.stack.sql("update mails set state = 'dropped' where order_id = %s", (order.id,))

    def test_a_server_that_wants_a_login_or_tls_fails_no_mail(self):
        asks = {"a login": self.inbox_of(certificate=self.certificate, login=("shop", "right")),
                "TLS": self.inbox_of(certificate=self.certificate, demands_tls=True)}
        for what, inbox in asks.items():
            with self.subTest(what):
                mailer = self.start(f"smtp://localhost:{inbox.port}", CHECKOUT_SMTP_TLS="true" if what == "a login" else "false")
                order = self.order("nobody@example.org").wait("confirmed")
                wait_until(lambda: b"login_or_tls_wanted: 530" in mailer.log_text(), 30, "the mailer to say why")
                self.tried(order, 1)
                mailer.stop()
                state, _, problem = self.row(order)
                self.assertEqual((state, problem.removesuffix(" 5.7.0")), ("due", "login_or_tls_wanted: 530"))
                self.assertIn(b"no mail server can be used", mailer.log_text())
                self.stack.sql("update mails set state = 'dropped' where order_id = %s", (order.id,))

    def test_a_server_that_never_speaks_is_left_for_another(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        inbox = self.inbox_of(certificate=self.certificate)
        self.start(f"smtp://127.0.0.1:{silent.getsockname()[1]},smtp://localhost:{inbox.port}")
        orders = [self.order(f"hung{n}@example.org") for n in range(5)]
        for n, order in enumerate(orders):
            inbox.wait(f"hung{n}@example.org", timeout=10)
            self.ended(order, "sent")
        silent.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while silent.accept():
                pass
        self.order("next@example.org")
        inbox.wait("next@example.org", timeout=10)
        self.assertRaises(TimeoutError, silent.accept)

    def test_a_server_that_wants_a_name_with_a_dot_is_given_one(self):
        inbox = self.inbox_of(certificate=self.certificate)
        inbox.wants_dot = True
        for settings, name in (({}, socket.gethostname() if "." in socket.gethostname() else "example.org"),
                               ({"CHECKOUT_SMTP_NAME": "mail.shop.example"}, "mail.shop.example")):
            mailer = self.start(f"smtp://localhost:{inbox.port}", **settings)
            self.order(f"{name}@example.org")
            inbox.wait(f"{name}@example.org")
            self.assertEqual(inbox.names[-1], name)
            mailer.stop()

    def test_a_sender_whom_the_server_refuses_fails_no_mail(self):
        inbox = self.inbox_of(certificate=self.certificate)
        inbox.to_sender = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
        mailer = self.start(f"smtp://localhost:{inbox.port}")
        orders = [self.order(f"sender{n}@example.org").wait("confirmed") for n in range(3)]
        wait_until(lambda: b"no mail server can be used" in mailer.log_text(), 30, "the mailer to say that it can use none")
        wait_until(lambda: (self.row(orders[0]) or ())[::2] == ("due", "sender_refused: 550 5.7.60"), 30, "a try to end")
        inbox.to_sender = None
        for n, order in enumerate(orders):
            self.hurry(order)
            inbox.wait(f"sender{n}@example.org")
            self.ended(order, "sent")

    def test_a_server_that_relays_nothing_fails_three_mails_and_no_more(self):
        inbox = self.inbox_of(certificate=self.certificate)
        inbox.to_recipient = "554 5.7.1 Relay access denied"
        orders = [self.order(f"relay{n}@example.org").wait("confirmed") for n in range(8)]
        self.start(f"smtp://localhost:{inbox.port}")
        for order in orders:
            self.tried(order, 1)
        self.assertEqual(sorted(self.row(order)[0] for order in orders), 5 * ["due"] + 3 * ["failed"])
        self.assertEqual({self.row(order)[2] for order in orders}, {"refused: 554 5.7.1"})
        inbox.to_recipient = None
        self.stack.ctl("mails", "retry", "--failed")
        for n, order in enumerate(orders):
            self.hurry(order)
            inbox.wait(f"relay{n}@example.org", timeout=5)      # one pause, though several met the refusal
            self.ended(order, "sent")

    def test_a_server_that_takes_few_at_once_is_given_few(self):
        inbox = self.inbox_of(certificate=self.certificate)
        inbox.places = 3        # as Exchange Online
        mailer = self.start(f"smtp://localhost:{inbox.port}")
        orders = [self.order(f"slow+few{n}@example.org").wait("confirmed") for n in range(14)]

        def all_sent():
            self.stack.sql("update mails set due_at = now() where state = 'due' and claimed_by is null")
            return all((self.row(order) or ("",))[0] == "sent" for order in orders)
        wait_until(all_sent, 60, "all to be sent")
        self.assertIn(b"mail server is busy; fewer mails at once", mailer.log_text())
        self.assertLess(inbox.turned_away, 40)

    def test_a_shop_puts_templates_of_its_own_in_place_of_ours(self):
        folder = self.stack.directory + "/templates"
        os.makedirs(folder)

        def write(name, text):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as sink:
                sink.write(text)
        write("confirmed.fr.txt", "Subject: Merci, {{order}}\n\nVoilà: {{title}}{{#reference}}, {{reference}}{{/reference}}\n")
        write("confirmed.fr.html", "<p>{{title}}</p>")
        inbox = self.inbox_of(certificate=self.certificate)
        url = f"smtp://localhost:{inbox.port}"
        mailer = self.start(url, CHECKOUT_MAIL_TEMPLATES=folder)
        order = self.order("fr@example.org", self.stack.item(title="<b>é</b>"), locale="fr-CA").wait("confirmed")
        self.order("en@example.org", locale="it").wait("confirmed")
        french, = inbox.wait("fr@example.org")
        self.assertEqual((french.parsed["Content-Language"], french.parsed["Subject"]), ("fr", f"Merci, {order.id}"))
        self.assertEqual((french.part("plain").strip(), french.part("html").strip()),
                         ("Voilà: <b>é</b>", "<p>&lt;b&gt;é&lt;/b&gt;</p>"))
        self.assertEqual(inbox.wait("en@example.org")[0].parsed["Content-Language"], "en")
        mailer.stop()
        write("confirmed.fr.html", "<p>{{client_secret}}</p>")
        done = subprocess.run([harness.program("checkout-mailer")], text=True, timeout=30, check=False, capture_output=True,
                              env=harness.program_environment({**mailer.settings, "CHECKOUT_MAIL_TEMPLATES": folder}))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, "CHECKOUT_MAIL_TEMPLATES.*confirmed.fr.html")

    def grown_old(self, order, attempts):
        self.stack.sql("update mails set since = now() - interval '3 days', attempts = %s where order_id = %s", (attempts, order.id))

    def test_a_mail_is_given_up_only_after_a_server_was_told_of_it_for_so_long(self):
        inbox = self.inbox_of(certificate=self.certificate)
        waited = self.order("waited@late.example").wait("confirmed")
        self.grown_old(waited, 7)
        none = self.start(f"smtp://localhost:{free_port()}")
        self.tried(waited, 8)
        none.stop()
        self.assertEqual(self.row(waited), ("due", 8, "not_connected"))
        order = self.order("shy-2@late.example").wait("confirmed")
        self.grown_old(order, 0)
        self.hurry(waited)
        self.start(f"smtp://localhost:{inbox.port}")
        self.ended(waited, "sent")
        self.tried(order, 1)
        self.assertEqual(self.row(order), ("due", 1, "refused: 451"))
        self.grown_old(order, 1)
        self.hurry(order)
        self.assertEqual(self.ended(order, "failed"), ("failed", 2, "refused: 451"))

    def test_another_server_does_and_mails_wait_while_there_is_none(self):
        inbox = self.inbox_of(certificate=self.certificate)
        self.start(f"smtp://localhost:{free_port()},smtp://localhost:{inbox.port}")
        self.order("second@example.org").wait("confirmed")
        inbox.wait("second@example.org", timeout=10)
        inbox.close()
        order = self.order("later@example.org").wait("confirmed")
        self.tried(order, 1)
        inbox.open()
        self.hurry(order)
        inbox.wait("later@example.org")
        self.ended(order, "sent")


if __name__ == "__main__":
    harness.main()
