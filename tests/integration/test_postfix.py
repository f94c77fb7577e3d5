#!/usr/bin/python3
"""Mails through a real Postfix: STARTTLS, its refusals, its limits, addresses beyond ASCII. With --full, which installs it."""

import unittest

import harness
from harness import wait_until
from harness_postfix import USABLE, Postfix
from harness_tls import Authority
from test_mails import MAILS, TestCase

DOMAINS = ("example.org", "xn--bcher-kva.example")


@unittest.skipUnless(USABLE, "there is no Postfix, or it may not be started by this user")
class ThroughPostfix(TestCase):
    settings = {**MAILS, "CHECKOUT_SMTP_TLS": "true", "CHECKOUT_SMTP_TIMEOUT": "20s", "CHECKOUT_SMTP_NAME": "shop"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        authority = Authority(cls.stack.directory, "authority")
        cls.postfix = Postfix(authority.issue("mail"), DOMAINS, places=3)
        cls.addClassCleanup(cls.postfix.close)
        cls.stack.settings.update({"CHECKOUT_SMTP_URL": f"smtp://localhost:{cls.postfix.port}",
                                   "CHECKOUT_SMTP_CA_FILE": authority.path})

    def start(self, **settings):
        mailer = self.stack.start("mailer", **settings)
        self.addCleanup(mailer.stop)
        return mailer

    def test_mails_arrive(self):
        self.start(CHECKOUT_SMTP_NAME="")
        title = "Ein Kleid für 20\u00a0Jahre\u2028."
        sku = self.stack.item(price=1999, title=title)
        for to, delivered in (("ann+tag@example.org", "ann+tag@example.org"), ("jürgen@example.org", "jürgen@example.org"),
                              ("ann@bücher.example", "ann@xn--bcher-kva.example")):
            order = self.order(to, sku).wait("confirmed")
            self.ended(order, "sent")
            mail = self.postfix.wait(delivered)
            self.assertEqual((mail["Message-ID"], mail["Return-Path"]),
                             (f"<{order.id}.confirmed@example.org>", "<shop@example.org>"))
            self.assertRegex(mail["Received"], r"from example\.org .* with (ESMTPS|UTF8SMTPS) ")
            self.assertIn(f"1 × {title}: 19.99 USD", mail.get_body(("plain",)).get_content())

    def test_what_it_says_is_told_apart(self):
        self.start(CHECKOUT_SMTP_NAME="")
        for to, state, problem in (("rejected@example.org", "failed", "refused: 550 5.1.1"),
                                   ("ann@elsewhere.example", "failed", "refused: 554 5.7.1"),
                                   ("greylisted@example.org", "due", "refused: 450 4.2.0"),
                                   ("closing@example.org", "due", "refused: 421 4.3.2")):
            with self.subTest(to=to):
                order = self.order(to).wait("confirmed")
                self.tried(order, 1)
                self.assertEqual(self.row(order), (state, 1, problem))

    def test_a_sender_whom_it_refuses_fails_no_mail(self):
        order = self.order("later@example.org").wait("confirmed")
        stranger = self.start(CHECKOUT_SMTP_NAME="", CHECKOUT_MAIL_FROM="stranger@example.org")
        self.tried(order, 1)
        self.assertEqual(self.row(order), ("due", 1, "sender_refused: 550 5.7.60"))
        stranger.stop()
        self.start(CHECKOUT_SMTP_NAME="")
        self.hurry(order)
        self.postfix.wait("later@example.org")

    def test_a_name_without_a_dot_is_refused_for_good(self):
        self.start()
        order = self.order("undotted@example.org").wait("confirmed")
        self.assertEqual(self.ended(order, "failed"), ("failed", 1, "refused: 504 5.5.2"))

    def test_it_takes_three_connections_at_once(self):
        orders = [self.order(f"many{n}@example.org").wait("confirmed") for n in range(30)]
        mailer = self.start(CHECKOUT_SMTP_NAME="", CHECKOUT_MAIL_INFLIGHT="32")

        def all_sent():
            for order in orders:
                self.stack.sql("update mails set due_at = now() where state = 'due' and claimed_by is null and order_id = %s",
                               (order.id,))
            return all((self.row(order) or ("",))[0] == "sent" for order in orders)
        wait_until(all_sent, 60, "all to be sent")
        self.assertIn(b'"problem":"refused: 421 4.7.0"', mailer.log_text())
        for n in range(30):
            self.postfix.wait(f"many{n}@example.org")


if __name__ == "__main__":
    harness.main()
