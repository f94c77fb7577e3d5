"""A mail server for tests: aiosmtpd, with an inbox, and faults that the local part of the recipient's address asks for.
What it answers then is what Postfix, Exchange, Gmail and Amazon SES document."""

import asyncio
import email
import email.policy
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness_services import free_port
from harness_wait import wait_until


class Mail:
    """What arrived: the envelope's sender and recipients, and the mail itself; `heard`: its client has read the answer."""

    def __init__(self, envelope):
        self.heard = False
        self.sender, self.recipients, self.raw = envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content
        self.parsed = self.parse(self.raw)

    @staticmethod
    def parse(raw):
        return email.message_from_bytes(raw, policy=email.policy.default)

    @property
    def id(self):
        return self.parsed["Message-ID"]

    def part(self, kind):
        return self.parsed.get_body((kind,)).get_content()


KINDS = ("rejected", "refused", "busy", "closed", "closing", "greylisted", "throttled", "lost", "slow", "silent", "shy", "mute",
         "kept")
TO_RCPT = {"rejected": "550 5.1.1 no such mailbox", "shy": "451 come again", "closing": "421 4.3.2 shutting down",
           "greylisted": "450-4.2.0 greylisted: we do not know you yet\r\n450 4.2.0 come again in 300 seconds"}
TO_DATA = {"refused": "554 not this one", "busy": "452 full", "throttled": "454 Throttling failure: Maximum sending rate"}


class _Handler:
    def __init__(self, inbox):
        self.inbox = inbox

    def _fault(self, envelope):
        """(the kind, whether it strikes this time): a fault that ends after some times says how many."""
        kind, _, times = envelope.rcpt_tos[-1].partition("@")[0].partition("+")[0].partition("-")
        if kind not in KINDS:
            return ""
        seen = self.inbox.tries[envelope.rcpt_tos[-1]] = self.inbox.tries.get(envelope.rcpt_tos[-1], 0) + 1
        return kind if not times or seen <= int(times) else ""

    async def handle_EHLO(self, server, session, envelope, name, responses):
        session.host_name = name
        self.inbox.names.append(name)
        self.inbox.talking = {other for other in self.inbox.talking if other.transport and not other.transport.is_closing()}
        self.inbox.talking.add(server)
        return responses

    @staticmethod
    def _heard(session):
        """A client that says something more has read what was answered to its mail."""
        if getattr(session, "mail", None) is not None:
            session.mail.heard = True

    async def handle_QUIT(self, server, session, envelope):
        self._heard(session)
        return "221 Bye"

    async def handle_MAIL(self, server, session, envelope, address, options):
        self._heard(session)
        if self.inbox.to_sender is not None:
            return self.inbox.to_sender
        if self.inbox.places is not None and len(self.inbox.talking) > self.inbox.places:
            self.inbox.turned_away += 1
            self.inbox.talking.discard(server)
            return "432 4.3.2 Concurrent connections limit exceeded"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.inbox.wants_dot and "." not in session.host_name:
            return f"504 5.5.2 <{session.host_name}>: Helo command rejected: need fully-qualified hostname"
        if self.inbox.to_recipient is not None:
            return self.inbox.to_recipient
        if self.inbox.repeats and self.inbox.tries.setdefault(address, 0) == 0:
            self.inbox.tries[address] = 1
            return f"450-4.2.0 <{address}> of <{envelope.mail_from}>\r\n450 4.2.0 <{address}>: Recipient address rejected"
        self.inbox.commands.append((envelope.mail_from, address))
        envelope.rcpt_tos.append(address)
        session.fault = self._fault(envelope)
        if session.fault == "silent":
            await asyncio.sleep(3600)
        if session.fault == "closed":
            server.transport.abort()
        if session.fault == "closing":
            asyncio.get_running_loop().call_later(0.05, server.transport.close)
        return TO_RCPT.get(session.fault, "250 OK")

    async def handle_DATA(self, server, session, envelope):
        if session.fault == "slow":
            await asyncio.sleep(1)
        if session.fault == "mute":         # it has the mail, and says nothing
            await asyncio.sleep(3600)
        if session.fault in TO_DATA:
            return TO_DATA[session.fault]
        session.mail = Mail(envelope)
        self.inbox.mails.append(session.mail)
        if session.fault == "kept":         # taken, and no answer ever comes
            await asyncio.sleep(3600)
        if session.fault == "lost":         # taken, and the answer is lost
            server.transport.abort()
        return "250 OK"


class Inbox:
    """`mails` is what arrived, `commands` each (sender, recipient) of the dialogue, `names` what clients call themselves.
    `wants_dot`: in a name, or no recipient is taken. `places`: how many may talk at once; others are turned away.
    `to_sender`, `to_recipient`: the answer to each MAIL, or RCPT. `repeats`: each recipient is refused once, and named. Ends with close()."""

    wants_dot, places, to_sender, to_recipient, repeats = False, None, None, None, False

    def __init__(self, certificate=None, login=None, implicit=False, demands_tls=False, port=None):
        self.mails, self.commands, self.tries, self.logins = [], [], {}, []
        self.names, self.talking, self.turned_away = [], set(), 0
        self.port, self._certificate, self._login, self._implicit = port or free_port(), certificate, login, implicit
        self._demands_tls = demands_tls
        self._controller = None
        self.open()

    def open(self):
        settings = {}
        context = None
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificate)
        if context is not None and not self._implicit:
            settings.update(tls_context=context, require_starttls=self._demands_tls)
        if self._login is not None:
            settings.update(authenticator=self._authenticate, auth_required=True, auth_require_tls=not self._implicit)
        self._controller = Controller(_Handler(self), hostname="127.0.0.1", port=self.port,
                                      ssl_context=context if self._implicit else None, **settings)
        self._controller.start()

    def _authenticate(self, server, session, envelope, mechanism, data):
        login = (data.login.decode(), data.password.decode()) if mechanism in ("LOGIN", "PLAIN") else None
        self.logins.append(login)
        return AuthResult(success=login == self._login, handled=False)

    def close(self):
        self._controller.stop(no_assert=True)

    def of(self, recipient):
        return [mail for mail in list(self.mails) if mail.recipients == [recipient]]

    def wait(self, recipient, count=1, timeout=30):
        """The mails to this address, once there are so many."""
        wait_until(lambda: len(self.of(recipient)) >= count, timeout,
                   lambda: f"{count} mails to {recipient}; {len(self.of(recipient))} came")
        return self.of(recipient)
