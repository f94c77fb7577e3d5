#!/usr/bin/python3
"""PgBouncer between the programs and PostgreSQL: a session for each client works, shared sessions are refused at start."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import psycopg2

import harness
from harness_daemon import program_environment
from harness_database import as_login
from harness_hooks import Receiver
from harness_keys import ProviderKey, publish
from harness_mail import Inbox
from harness_pool import PoolCase
from harness_services import free_port
from harness_wait import wait_until

DAEMONS = ("consumer", "producer", "notifier", "mailer", "webhooks", "console")
PROGRAMS = (*DAEMONS, "operator")
STATEMENT_S = 5     # the API's statement timeout at the server


class PgBouncer:
    """In front of the server of `url`; its files lie where its user may enter."""

    def __init__(self, url, mode, size=20, more=""):
        self._server, self.port = urllib.parse.urlsplit(url), free_port()
        self._mode, self._more = mode, more
        self._directory = tempfile.mkdtemp(prefix="checkout-pooler.", dir="/var/tmp")
        users = {urllib.parse.urlsplit(as_login(url, program)) for program in PROGRAMS}
        self._write("users", "".join(f'"{user.username}" "{user.password}"\n' for user in users))
        self._configure(size)
        user = ()
        if os.geteuid() == 0:
            for name in ("", "users", "ini"):
                shutil.chown(os.path.join(self._directory, name), "postgres", "postgres")
            user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--")
        self._process = subprocess.Popen([*user, "/usr/sbin/pgbouncer", os.path.join(self._directory, "ini")], cwd="/",
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _configure(self, size):
        self._write("ini", f"""[databases]
* = host={self._server.hostname} port={self._server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self._directory}/users
pool_mode = {self._mode}
default_pool_size = {size}
server_reset_query = DISCARD ALL
ignore_startup_parameters = options
{self._more}
""")

    def resize(self, size):
        self._configure(size)
        self._process.send_signal(signal.SIGHUP)

    def _write(self, name, text):
        with open(os.path.join(self._directory, name), "w", encoding="ascii") as sink:
            sink.write(text)

    def url(self, program):
        login = urllib.parse.urlsplit(as_login(self._server.geturl(), program))
        return login._replace(netloc=f"{login.username}:{login.password}@127.0.0.1:{self.port}").geturl()

    def close(self):
        self._process.kill()       # from 1.23 on SIGTERM waits for its clients
        self._process.wait(20)
        shutil.rmtree(self._directory)


def pooler_of(test, mode, **how):
    """One that answers, until the end of the test."""
    pooler = PgBouncer(test.stack.direct["CHECKOUT_DATABASE_URL"], mode, **how)
    test.addCleanup(pooler.close)

    def answers():
        with contextlib.suppress(psycopg2.OperationalError):
            return harness.query_once(pooler.url("operator"), "select 1") == [(1,)]
    wait_until(answers, 20, "PgBouncer to answer")
    return pooler


class Pooler(harness.TestCase):
    daemons = ("sandbox",)

    def start(self, name, pooler, **settings):
        daemon = self.stack.start(name, CHECKOUT_DATABASE_URL=pooler.url(name), **settings)
        self.addCleanup(daemon.stop)
        return daemon

    def sessions(self, program):
        return self.stack.sql("select pid, backend_start from pg_stat_activity where datname = current_database() "
                              "and application_name like %s order by pid", (f"checkout-{program}%",))

    def test_a_session_for_each_client_works_and_has_our_settings(self):
        database = self.stack.one("select current_database()")
        for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'SQL, DMY'"):   # what a login's options would undo
            self.stack.sql(f'alter database "{database}" set {setting}')
            self.addCleanup(self.stack.sql, f'alter database "{database}" reset {setting.split()[0]}')
        pooler = pooler_of(self, "session")
        for name in ("consumer", "producer", "notifier"):
            self.start(name, pooler)
        heard = self.stack.listen("ann")
        order = self.stack.order("ann", self.stack.item(stock=1)).wait("confirmed")
        self.assertEqual(heard.wait_final(order.id)["data"]["status"], "confirmed")
        shown = [self.stack.ctl("orders", "show", order.id, "--json", CHECKOUT_DATABASE_URL=url).stdout
                 for url in (as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator"), pooler.url("operator"))]
        self.assertEqual(*shown)
        self.assertIn("with a session for each client",
                      self.stack.ctl("doctor", check=False, CHECKOUT_DATABASE_URL=pooler.url("operator")).stdout)
        heard.close()

    def test_mails_webhooks_and_the_console_work_behind_it(self):
        pooler = pooler_of(self, "session")
        inbox, receiver = Inbox(), Receiver()
        for end in (inbox.close, receiver.close):
            self.addCleanup(end)
        keys = os.path.join(self.stack.directory, "keys")
        os.makedirs(keys)
        hooks = {"CHECKOUT_HOOKS_SECRETS": keys, "CHECKOUT_HOOKS_HTTP": "true", "CHECKOUT_HOOKS_ALLOW": "127.0.0.1"}
        self.stack.ctl("webhooks", "add", "shop", receiver.url, CHECKOUT_DATABASE_URL=pooler.url("operator"), **hooks)
        key, jwks = ProviderKey("ES256", "shop-1"), os.path.join(self.stack.directory, "console-jwks.json")
        publish(jwks, key.jwk())
        self.start("consumer", pooler)
        self.start("producer", pooler, CHECKOUT_MAIL="true", CHECKOUT_MAIL_TO_ANY="true")
        self.start("mailer", pooler, CHECKOUT_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}", CHECKOUT_SMTP_TLS="false",
                   CHECKOUT_MAIL_FROM="shop@example.org")
        self.start("webhooks", pooler, **hooks)
        console = self.start("console", pooler, CHECKOUT_CONSOLE_JWKS_FILE=jwks)
        order = self.stack.order("ann", self.stack.item(stock=1), receipt_email="ann@example.org").wait("confirmed")
        inbox.wait("ann@example.org")
        receiver.wait(order.id, "order.confirmed")
        token = key.token("back-office", aud="checkout-console", scope="shop")
        answer = harness.http_call(console.url, "GET", f"/v1/shop/orders/{order.id}", {"Authorization": "Bearer " + token})
        self.assertEqual((answer.status, answer.json["status"]), (200, "confirmed"))

    def test_the_server_ends_a_statement_that_takes_too_long_and_the_session_goes_on(self):
        pooler = pooler_of(self, "session")
        self.start("producer", pooler)
        order = self.stack.post("ann", self.stack.item()).json["id"]
        before = self.sessions("producer")
        holder = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(holder.close)
        holder.cursor().execute("lock table checkout.orders in access exclusive mode")
        began = time.monotonic()
        self.assertEqual(self.stack.call("ann", "GET", f"/v1/orders/{order}").status, 503)
        self.assertGreater(time.monotonic() - began, STATEMENT_S - 0.5)
        holder.rollback()
        self.assertEqual(self.stack.call("ann", "GET", f"/v1/orders/{order}").status, 200)
        self.assertEqual(self.sessions("producer"), before)     # which the API's own patience would have ended

    def test_a_pool_that_is_full_keeps_a_program_waiting_until_it_has_one_place_more(self):
        """The second session, by which a program sees whether sessions are shared, would have none."""
        pooler = pooler_of(self, "session", size=1)
        settings = {"CHECKOUT_HOOKS_SECRETS": self.stack.directory, "CHECKOUT_DATABASE_URL": pooler.url("webhooks")}
        daemon = self.stack.start("webhooks", wait=False, **settings)
        self.addCleanup(daemon.stop)
        wait_until(lambda: b"gives a second session no place" in daemon.log_text(), 20, "the reason")
        self.assertTrue(daemon.running())
        pooler.resize(20)
        daemon.wait_ready(lambda: harness.http_call(daemon.admin, "GET", "/readyz").status == 200)

    def test_shared_sessions_in_turn_are_refused(self):
        """The second session has another server then, and the first its own again at its next look."""
        pooler = pooler_of(self, "transaction", more="server_round_robin = 1")
        both = [psycopg2.connect(pooler.url("notifier")) for _ in range(2)]
        for session in both:    # at once, so that there are two servers
            session.cursor().execute("select 1")
        for session in both:
            session.commit()
            session.close()
        self.refused("notifier", pooler)

    def test_shared_sessions_are_refused_at_start_with_the_reason(self):
        for mode in ("transaction", "statement"):
            pooler = pooler_of(self, mode)
            for name in DAEMONS:
                self.refused(name, pooler)
            said = self.stack.ctl("doctor", check=False, CHECKOUT_DATABASE_URL=pooler.url("operator"))
            self.assertEqual(said.returncode, 1)
            self.assertIn("shares sessions between clients", said.stdout)

    def refused(self, name, pooler):
        with self.subTest(name=name):
            settings = {**self.stack.settings, **self.needs(name), "CHECKOUT_LISTEN": f"127.0.0.1:{free_port()}",
                        "CHECKOUT_DATABASE_URL": pooler.url(name)}
            done = subprocess.run([harness.program(f"checkout-{name}")], env=program_environment(settings), text=True,
                                  timeout=30, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertRegex(done.stderr, r"\Acheckout-\w+: CHECKOUT_DATABASE_URL: a connection pooler shares "
                                          r"sessions between clients [^\n]*\n\s*\Z")

    def needs(self, name):
        """Settings that are its own."""
        if name == "console":
            jwks = os.path.join(self.stack.directory, "console-jwks.json")
            publish(jwks, ProviderKey("ES256", "shop-1").jwk())
            return {"CHECKOUT_CONSOLE_JWKS_FILE": jwks}
        return {"mailer": {"CHECKOUT_SMTP_URL": "smtp://127.0.0.1:25", "CHECKOUT_SMTP_TLS": "false",
                           "CHECKOUT_MAIL_FROM": "shop@example.org"},
                "webhooks": {"CHECKOUT_HOOKS_SECRETS": self.stack.directory}}.get(name, {})


class TakeOver(PoolCase):
    settings = {"CHECKOUT_AMQP_HEARTBEAT": "2s"}
    shards = 2

    def test_an_owner_that_stops_in_mid_transaction_behind_it_is_taken_over(self):
        """Its session is ended by the number of its backend, which is not that of its login here."""
        pooler = pooler_of(self, "session", size=40)
        frozen, other = (self.consumer(CHECKOUT_DATABASE_URL=pooler.url("consumer")) for _ in range(2))
        self.served(frozen, other)
        shard = self.served_by(frozen)[0]
        sku = self.item_on(shard)
        self.hold(sku)
        line = self.publish(sku, 2)
        self.wait_hanging()
        frozen.freeze()
        wait_until(lambda: self.owners()[shard] == other.member, 60, "the shard to be taken over")
        self.release()
        self.wait_decided(line)
        self.assertEqual(self.writers(line, sequence=1), {other.member})
        frozen.thaw()
        self.settled(frozen, other)
        self.assert_served_once()


if __name__ == "__main__":
    harness.main()
