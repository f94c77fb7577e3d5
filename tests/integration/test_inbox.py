#!/usr/bin/python3
"""The demo's inbox: each customer sees the mails to this customer alone, and everything in them as text."""

import email.message
import os
import smtplib
import subprocess
import tempfile
import unittest

import jwt

import harness
from harness import free_port, http_call, wait_until
from harness_services import ROOT

SECRET = "s" * 32


class Inbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.smtp, cls.port = free_port(), free_port()
        with tempfile.NamedTemporaryFile("w", delete=False) as sink:
            sink.write(SECRET + "\n")
        cls.addClassCleanup(os.remove, sink.name)
        process = subprocess.Popen([os.path.join(ROOT, "deploy/web/serve"), "--listen", f"127.0.0.1:{cls.port}", "--api", "",
                                    "--smtp", f"127.0.0.1:{cls.smtp}", "--jwt-secret-file", sink.name])
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        cls.url = f"http://127.0.0.1:{cls.port}"
        wait_until(cls.reached, 60, "the storefront")

    @classmethod
    def reached(cls):
        try:
            return http_call(cls.url, "GET", "/shop.json").status == 200
        except OSError:
            return False

    def visit(self):
        """(cookie, address) of a new customer."""
        answer = http_call(self.url, "GET", "/session")
        claims = jwt.decode(answer.json["token"], SECRET, algorithms=["HS256"], audience="checkout")
        self.assertTrue(claims["email_verified"])
        return answer.headers["Set-Cookie"].partition(";")[0], claims["email"]

    def send(self, to, subject, text):
        mail = email.message.EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "shop@example.org", to, subject
        mail.set_content(text)
        mail.add_alternative("<script>alert(1)</script>", subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp) as client:
            client.send_message(mail)

    def page(self, cookie):
        answer = http_call(self.url, "GET", "/inbox", {"Cookie": cookie})
        self.assertEqual(answer.status, 200)
        self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])
        return answer.body.decode()

    def test_a_customer_sees_own_mails_as_text(self):
        (ann, to_ann), (ben, to_ben) = self.visit(), self.visit()
        self.assertTrue(http_call(self.url, "GET", "/shop.json").json["inbox"])
        self.assertIn("None yet.", self.page(ann))
        self.send(to_ann, "Confirmed <b>&", "1 × <img src=x onerror=alert(1)> für Ännchen")
        self.send(to_ben, "Of ben", "only ben's")
        page = self.page(ann)
        self.assertIn("Confirmed &lt;b&gt;&amp;", page)
        self.assertIn("1 × &lt;img src=x onerror=alert(1)&gt; für Ännchen", page)
        for word in ("<img", "<b>", "<script", "alert(1)</", "Of ben", to_ben):
            self.assertNotIn(word, page)
        self.assertIn("Of ben", self.page(ben))
        self.assertNotIn("Of ben", self.page("demo_customer=../../x"))


if __name__ == "__main__":
    harness.main()
