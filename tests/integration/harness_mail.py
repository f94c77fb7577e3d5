"""A mail server for tests: aiosmtpd, with an inbox, and faults that the local part of the recipient's address asks for."""

import asyncio
import email
import email.policy
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness_services import free_port
from harness_wait import wait_until


class Mail:
    """What arrived: the envelope's sender and recipients, and the mail itself."""

    def __init__(self, envelope):
        self.sender, self.recipients, self.raw = envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content
        self.parsed = email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def id(self):
        return self.parsed["Message-ID"]

    def part(self, kind):
        return self.parsed.get_body((kind,)).get_content()


class _Handler:
    def __init__(self, inbox):
        self.inbox = inbox

    def _fault(self, envelope):
        """(the kind, whether it strikes this time): a fault that ends after some times says how many."""
        kind, _, times = envelope.rcpt_tos[-1].partition("@")[0].partition("+")[0].partition("-")
        if kind not in ("rejected", "refused", "busy", "closed", "lost", "slow", "silent", "shy", "mute", "kept"):
            return ""
        seen = self.inbox.tries[envelope.rcpt_tos[-1]] = self.inbox.tries.get(envelope.rcpt_tos[-1], 0) + 1
        return kind if not times or seen <= int(times) else ""

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.inbox.commands.append((envelope.mail_from, address))
        envelope.rcpt_tos.append(address)
        session.fault = self._fault(envelope)
        if session.fault == "silent":
            await asyncio.sleep(3600)
        if session.fault == "closed":
            server.transport.abort()
        return {"rejected": "550 no such mailbox", "shy": "451 come again"}.get(session.fault, "250 OK")

    async def handle_DATA(self, server, session, envelope):
        if session.fault == "slow":
            await asyncio.sleep(1)
        if session.fault == "mute":         # it has the mail, and says nothing
            await asyncio.sleep(3600)
        if session.fault in ("refused", "busy"):
            return {"refused": "554 not this one", "busy": "452 full"}[session.fault]
        self.inbox.mails.append(Mail(envelope))
        if session.fault == "kept":         # taken, and no answer ever comes
            await asyncio.sleep(3600)
        if session.fault == "lost":         # taken, and the answer is lost
            server.transport.abort()
        return "250 OK"


class Inbox:
    """`mails` is what arrived, `commands` each (sender, recipient) of the dialogue. Ends with close()."""

    def __init__(self, certificate=None, login=None, implicit=False, demands_tls=False):
        self.mails, self.commands, self.tries, self.logins = [], [], {}, []
        self.port, self._certificate, self._login, self._implicit = free_port(), certificate, login, implicit
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
