"""The demo's mail server: keeps the newest mails that come, and shows each customer those to them as a plain page."""

import asyncio
import email
import email.policy
import html

from aiosmtpd.controller import Controller

KEPT = 500
MAIL_BYTES = 256 * 1024
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta http-equiv="refresh" content="5">
  <title>Your mails</title>
  <link rel="icon" href="art/pass.svg" type="image/svg+xml">
  <link rel="stylesheet" href="style.css">
</head>
<body>
  <header class="top"><h1 class="name">Your mails</h1></header>
  <main>
    <p>What the shop has written to {address}. <a href="./">To the shop</a></p>
{mails}
  </main>
</body>
</html>
"""
MAIL = """    <article class="mail">
      <h2>{subject}</h2>
      <p class="from">{sender}, {date}</p>
      <pre>{text}</pre>
    </article>
"""


def address_of(customer):
    return f"{customer}@buyers.example"


class Inbox:
    """Listens from the start on; ends with the process."""

    def __init__(self, host, port):
        self._mails = []    # (recipient, mail), the newest first
        self._controller = Controller(self, hostname=host, port=port, data_size_limit=MAIL_BYTES,
                                      loop=asyncio.new_event_loop())
        self._controller.start()

    async def handle_DATA(self, _server, _session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        self._mails = [(envelope.rcpt_tos[0], mail), *self._mails][:KEPT]
        return "250 OK"

    def page(self, customer):
        """As bytes. Everything in a mail is shown as text; its HTML part is not."""
        address = address_of(customer)
        own = [self._show(mail) for recipient, mail in self._mails if recipient == address]
        return PAGE.format(address=html.escape(address), mails="".join(own) or "    <p>None yet.</p>").encode()

    @staticmethod
    def _show(mail):
        part = mail.get_body(("plain",))
        shown = {"subject": mail["Subject"], "sender": mail["From"], "date": mail["Date"],
                 "text": part.get_content() if part is not None else ""}
        return MAIL.format(**{name: html.escape(str(value)) for name, value in shown.items()})
