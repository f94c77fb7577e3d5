"""A stack: one database, one set of queues, one set of secrets, and the daemons that share them."""

import hmac
import os
import secrets
import shutil
import subprocess
import time
import urllib.parse
import uuid

import jwt
import psycopg2
import redis

import harness_jobs
from harness_broker import Broker
from harness_client import FINAL, Gateway, Listener, http_call
from harness_daemon import Daemon, program, program_environment
from harness_database import administer, as_login, database_url, drop_database, migrated_database
from harness_proxy import Proxy
from harness_services import free_port, run_directory, services
from harness_wait import wait_until

_DEFAULT_PORTS = {"database": 5432, "amqp": 5672, "redis": 6379}
_URL_OF = {"database": "CHECKOUT_DATABASE_URL", "amqp": "CHECKOUT_AMQP_URL",
           "redis": "CHECKOUT_REDIS_URL", "gateway": "CHECKOUT_GATEWAY_URL"}

_SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"

_declared = set()       # topologies that this process has declared
_number = 0


def _join(path, *parts):
    with open(path, "wb") as sink:
        for part in parts:
            with open(part, "rb") as source:
                sink.write(source.read())


class Stack:
    """See the module. `settings` (CHECKOUT_* → value) wins over the harness's; `close` ends it all."""

    def __init__(self, name, shards=4, settings=None, proxied=()):
        global _number
        _number += 1
        self.name, self.shards = name, shards
        self.directory = os.path.join(run_directory(), f"{_number:02d}-{name}")
        os.makedirs(self.directory)
        self.daemons = []
        self.proxies = {}
        self.sandbox_options = ()   # of its command line, besides those that the stack needs
        self.logs_piped = False     # programs started from now on log through a pipe (see LogReader)
        self.certificate = None     # of the sandbox: (the certificate, both it and its key)
        self._keep = False
        self._counts = {}
        self._connection = None
        self.direct = dict(services())          # the servers themselves, past any proxy
        self.direct["CHECKOUT_AMQP_URL"] = self.direct["CHECKOUT_AMQP_URL"].split(",")[0]
        self.broker = Broker(self.direct["CHECKOUT_AMQP_URL"], shards)
        self.secrets = {}
        self.settings = self._common_settings()
        self.settings.update({key: str(value) for key, value in (settings or {}).items()})
        self._prepare_database()
        self._prepare_queues()
        redis.Redis.from_url(self.direct["CHECKOUT_REDIS_URL"]).flushall()
        for which in proxied:
            self.settings[_URL_OF[which]] = self._through_proxy(which)

    # -- settings and servers --------------------------------------------------------------------

    def _common_settings(self):
        settings = dict(self.direct)
        for name, size in (("JWT_SECRET", 32), ("ORDER_SECRET", 32), ("GATEWAY_KEY", 24)):
            self.secrets[name] = secrets.token_hex(size)
            settings[f"CHECKOUT_{name}_FILE"] = self.write_secret(name.lower(), self.secrets[name])
        self._gateway_port = free_port()
        self._notifier_port = free_port()
        settings["CHECKOUT_SHARDS"] = str(self.shards)
        settings["CHECKOUT_GATEWAY_URL"] = f"http://127.0.0.1:{self._gateway_port}"
        settings["CHECKOUT_EVENTS_URL"] = f"ws://127.0.0.1:{self._notifier_port}/v1/events"
        return settings

    def gateway_over_tls(self):
        """From now on the sandbox speaks TLS, and programs are told so. They trust its certificate beside those
        of the system, as many as a program in service does."""
        certificate, key, both, trusted = (os.path.join(self.directory, name) for name in (
            "tls.pem", "tls.key", "tls-both.pem", "trusted.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext",
                        "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        _join(both, certificate, key)
        _join(trusted, *filter(os.path.exists, [_SYSTEM_AUTHORITIES]), certificate)
        self.certificate = certificate, both
        self.settings["CHECKOUT_GATEWAY_URL"] = f"https://localhost:{self._gateway_port}"
        self.settings["CHECKOUT_GATEWAY_CA_FILE"] = trusted

    def write_secret(self, name, text):
        """A file with this secret; returns its path."""
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as sink:
            sink.write(text + "\n")
        os.chmod(path, 0o600)
        return path

    def start_with_webhooks(self, path, secret, sent=True):
        """The sandbox gateway, which sends its webhooks to a producer (or is not told to), and a consumer."""
        file, port = self.write_secret("webhook", secret), free_port()
        if sent:
            self.sandbox_options = ("--webhook-url", f"http://127.0.0.1:{port}{path}", "--webhook-secret", file)
        self.start("sandbox")
        self.start("producer", CHECKOUT_LISTEN=f"127.0.0.1:{port}", CHECKOUT_WEBHOOK_SECRET_FILE=file)
        self.start("consumer")

    def _through_proxy(self, which):
        url = urllib.parse.urlsplit(self.settings[_URL_OF[which]])
        port = url.port or _DEFAULT_PORTS.get(which, 80)
        proxy = self.proxies[which] = Proxy(url.hostname, port)
        login = url.netloc.rpartition("@")
        return urllib.parse.urlunsplit(url._replace(netloc=f"{login[0]}{login[1]}127.0.0.1:{proxy.port}"))

    def _prepare_database(self):
        self.database = migrated_database(self._migrate)
        administer("select checkout.keep_rows_out_of_the_log()", self.database)  # as migrate does
        self.direct["CHECKOUT_DATABASE_URL"] = database_url(self.database)
        self.settings["CHECKOUT_DATABASE_URL"] = self.direct["CHECKOUT_DATABASE_URL"]

    def _migrate(self, url):
        self.ctl("migrate", CHECKOUT_DATABASE_URL=url)

    def _prepare_queues(self):
        """Empty queues of this number of shards, with these settings."""
        wanted = (self.shards, self.settings.get("CHECKOUT_QUEUE_MAX_BYTES"))
        if wanted not in _declared:
            self.broker.delete()
            _declared.difference_update([known for known in _declared if known[0] == self.shards])
        wait_until(lambda: self.ctl("topology"), what="the queues to be declared")   # PostgreSQL may take long to answer
        _declared.add(wanted)
        self.broker.purge()

    # -- daemons ---------------------------------------------------------------------------------

    def ctl(self, *arguments, check=True, timeout=300, build=None, **settings):
        """Runs checkoutctl; settings as CHECKOUT_X=…. Returns the completed process."""
        done = subprocess.run([program("checkoutctl", build), *arguments], text=True, timeout=timeout,
                              env=program_environment({**self.settings, **settings}),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and done.returncode != 0:
            raise AssertionError(f"checkoutctl {' '.join(arguments)} ended with {done.returncode}: "
                                 f"{done.stderr}{done.stdout}")
        return done

    def start(self, name, wait=True, build=None, **settings):
        """Starts "sandbox", "producer", "consumer", "notifier", "mailer", "webhooks" or "console" (of `build`, or else of the build under test)
        and waits until it is ready."""
        serial = self._counts[name] = self._counts.get(name, 0) + 1
        mine = {**self.settings, **{key: str(value) for key, value in settings.items()}}
        log = os.path.join(self.directory, f"{name}-{serial}.log")
        if name == "sandbox":
            return self._start_sandbox(mine, log, wait)
        if "CHECKOUT_DATABASE_URL" not in settings:
            mine["CHECKOUT_DATABASE_URL"] = as_login(mine["CHECKOUT_DATABASE_URL"], name)
        if name == "producer" and build is None:    # counted, but a test's few buyers are not stopped
            mine.setdefault("CHECKOUT_ORDERS_PER_USER", "100000/1s")
        admin = mine.setdefault("CHECKOUT_ADMIN_LISTEN", f"127.0.0.1:{free_port()}")
        url = None
        if name not in ("consumer", "mailer", "webhooks"):
            port = self._notifier_port if name == "notifier" and serial == 1 else free_port()
            listen = "CHECKOUT_CONSOLE_LISTEN" if name == "console" else "CHECKOUT_LISTEN"
            url = "http://" + mine.setdefault(listen, f"127.0.0.1:{port}")
        daemon = Daemon("checkout-" + name, mine, log, url=url, admin="http://" + admin, build=build,
                        piped=self.logs_piped)
        self.daemons.append(daemon)
        if wait:
            daemon.wait_ready(self._probe(daemon))
        return daemon

    def _start_sandbox(self, mine, log, wait):
        mine["CHECKOUT_LISTEN"] = f"127.0.0.1:{self._gateway_port}"
        mine.setdefault("CHECKOUT_SANDBOX_LEDGER", os.path.join(self.directory, "ledger"))
        arguments = (*self.sandbox_options, *(("--tls", self.certificate[1]) if self.certificate else ()))
        daemon = Daemon("checkout-sandbox-gateway", mine, log, arguments=arguments,
                        url=self.settings["CHECKOUT_GATEWAY_URL"])
        self.daemons.append(daemon)
        if wait:
            daemon.wait_ready(self._probe(daemon))
        return daemon

    def start_again(self, daemon):
        """A new process with the settings (and the addresses) of one that has ended."""
        again = Daemon(daemon.name, daemon.settings, daemon.log, url=daemon.url, admin=daemon.admin,
                       arguments=daemon.arguments)
        self.daemons.append(again)
        again.wait_ready(self._probe(again))
        return again

    def _probe(self, daemon):
        if daemon.admin:
            return lambda: http_call(daemon.admin, "GET", "/readyz").status == 200
        return lambda: self.gateway.call("GET", "/v1/payment_intents?limit=1").status == 200

    def daemon(self, name):
        """The newest running daemon of this kind."""
        full = "checkout-sandbox-gateway" if name == "sandbox" else "checkout-" + name
        for daemon in reversed(self.daemons):
            if daemon.name == full and daemon.running():
                return daemon
        raise LookupError(f"no {full} runs in this stack")

    # -- the world outside -----------------------------------------------------------------------

    @property
    def gateway(self):
        if self.certificate:
            return Gateway(self.settings["CHECKOUT_GATEWAY_URL"], self.secrets["GATEWAY_KEY"], self.certificate[0])
        return Gateway(f"http://127.0.0.1:{self._gateway_port}", self.secrets["GATEWAY_KEY"])

    def sql(self, statement, arguments=None):
        """Rows of a statement, past any proxy; search_path is the schema `checkout`."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(self.direct["CHECKOUT_DATABASE_URL"],
                                                options="-csearch_path=checkout,public")
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []

    def forget_database(self):
        """The next statement goes where `direct` says then."""
        if self._connection is not None:
            self._connection.close()

    def one(self, statement, arguments=None):
        """The only column of the only row, or None without a row."""
        rows = self.sql(statement, arguments)
        return rows[0][0] if rows else None

    def redis(self):
        return redis.Redis.from_url(self.direct["CHECKOUT_REDIS_URL"])

    def item(self, sku=None, stock=10, price=1000, gate="none", **columns):
        """Puts an item on sale; returns its SKU (a new one unless given)."""
        sku = sku or f"item-{uuid.uuid4().hex[:12]}"
        columns = {"sku": sku, "shard": self.shard(sku), "title": sku, "price": price,
                   "currency": "usd", "stock": stock, "gate": gate, **columns}
        self.sql(f"insert into items ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})",
                 list(columns.values()))
        return sku

    def counts(self, sku):
        """(stock, held, sold, waiting) of an item."""
        return self.sql("select stock, held, sold, waiting from items where sku = %s", (sku,))[0]

    def shard(self, sku):
        return harness_jobs.shard_of(sku, self.shards)

    # -- buyers ----------------------------------------------------------------------------------

    def token(self, user, audience="checkout", lifetime=3600, **claims):
        now = int(time.time())
        body = {"sub": user, "aud": audience, "iat": now, "exp": now + lifetime, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        secret = self.ticket_secret() if audience == "checkout-events" else self.secrets["JWT_SECRET"]
        return jwt.encode(body, secret, algorithm="HS256")

    def ticket_secret(self):
        """What signs event tickets unless CHECKOUT_TICKET_SECRET_FILE is set."""
        return hmac.digest(self.secrets["JWT_SECRET"].encode(), b"checkout event tickets", "sha256")

    def call(self, user, method, path, body=None, headers=None, producer=None, timeout=30):
        """An HTTP call as `user` (None: without a token) at the newest producer."""
        headers = dict(headers or {})
        if user is not None:
            headers.setdefault("Authorization", "Bearer " + self.token(user))
        base = (producer or self.daemon("producer")).url
        return http_call(base, method, path, headers, body, timeout)

    def post(self, user, sku, quantity=1, key=None, payment_method="pm_card_visa", producer=None,
             **members):
        """POST /v1/orders; the Answer, whatever it is."""
        body = {"sku": sku, "quantity": quantity, "payment_method": payment_method, **members}
        return self.call(user, "POST", "/v1/orders", body,
                         {"Idempotency-Key": key or uuid.uuid4().hex}, producer)

    def post_until_told(self, user, sku, quantity=1, key=None, payment_method="pm_card_visa", **members):
        """As post(), and again with the same key where the broker has not confirmed it within five seconds, as a buyer does."""
        key, ends = key or uuid.uuid4().hex, time.monotonic() + 60
        while True:
            answer = self.post(user, sku, quantity, key, payment_method, **members)
            unconfirmed = answer.status == 503 and answer.json["type"] == "/problems/accept-unknown"
            if not unconfirmed or time.monotonic() > ends:
                return answer

    def order(self, user, sku, quantity=1, key=None, payment_method="pm_card_visa", **members):
        """Orders and expects 202; an Order to ask about."""
        answer = self.post_until_told(user, sku, quantity, key, payment_method, **members)
        if answer.status != 202:
            raise AssertionError(f"expected 202 for {user} and {sku}: {answer}")
        return Order(self, user, answer.json["id"])

    def status(self, user, order):
        return self.call(user, "GET", f"/v1/orders/{order}")

    def listen(self, user, query="", notifier=None):
        """A websocket of this buyer."""
        url = (notifier or self.daemon("notifier")).url.replace("http", "ws", 1)
        return Listener(f"{url}/v1/events{query}", {"Authorization": "Bearer " + self.token(user)})

    # -- the broker as another program sees it ----------------------------------------------------

    def job(self, user, sku, key=None, **members):
        return harness_jobs.job(self.secrets["ORDER_SECRET"], user, sku, key, **members)

    def publish(self, shard, body, headers=None, **properties):
        """Publishes a raw body to a shard's line, confirmed."""
        self.broker.publish(shard, body, headers, **properties)

    def publish_jobs(self, *jobs, shard=None):
        """One message with these jobs, to the shard of the first."""
        shard = self.shard(jobs[0]["sku"]) if shard is None else shard
        self.publish(shard, harness_jobs.message(*jobs), headers={"x-job-count": len(jobs)})

    def dead_letters(self):
        """Takes everything out of checkout.dead: a list of (body, headers)."""
        return self.broker.dead_letters()

    # -- the end -----------------------------------------------------------------------------------

    def keep_logs(self):
        self._keep = True

    def stop_daemons(self):
        """SIGTERM to all at once; every one of them must leave cleanly."""
        for daemon in self.daemons:
            if daemon.running():
                daemon.terminate()
        problems = []
        for daemon in self.daemons:
            try:
                daemon.finish()
            except AssertionError as error:
                problems.append(str(error))
        self.daemons = []
        if problems:
            self.keep_logs()
            raise AssertionError("\n".join(problems))

    def close(self):
        try:
            self.stop_daemons()
        finally:
            for proxy in self.proxies.values():
                proxy.close()
            self.broker.close()
            if self._connection is not None:
                self._connection.close()
            drop_database(self.database)
            if not self._keep:
                shutil.rmtree(self.directory, ignore_errors=True)
                try:
                    os.rmdir(run_directory())
                except OSError:
                    pass


class Order:
    """An accepted order of one buyer."""

    def __init__(self, stack, user, order_id):
        self.stack, self.user, self.id = stack, user, order_id

    def row(self):
        """(status, reason) from the database, or None while only the queue knows it."""
        rows = self.stack.sql("select status, reason from orders where order_id = %s", (self.id,))
        return rows[0] if rows else None

    def status(self):
        row = self.row()
        return row[0] if row else "queued"

    def wait(self, status, reason=None, timeout=30):
        """Waits for this state; fails at once when a final state rules it out."""
        def reached():
            row = self.row()
            if row and row[0] != status and row[0] in FINAL and status != "refunded":
                raise RuntimeError(f"order {self.id} of {self.user} ended as {row}, not {status}")
            return row and row[0] == status
        wait_until(reached, timeout,
                   lambda: f"order {self.id} of {self.user} is {status}; it is {self.row()}")
        if reason is not None and self.row()[1] != reason:
            raise AssertionError(f"order {self.id} is {self.row()}, not {status}: {reason}")
        return self

    def wait_final(self, timeout=30):
        """Its (status, reason) once final."""
        wait_until(lambda: self.status() in FINAL, timeout, f"a final state of {self.id} of {self.user}")
        return self.row()
