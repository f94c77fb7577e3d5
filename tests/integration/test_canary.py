#!/usr/bin/python3
"""Secrets stay where they belong: distinctive ones are sent through the whole system, whose every word is
searched for them afterwards. What is deliberately kept where is said in ARCHITECTURE.md."""

import json
import os
import re
import secrets
import subprocess
import urllib.parse

import harness
import harness_services
from harness import wait_until
from harness_gateway import Scripted, ScriptedGateway, intent
from harness_hooks import Receiver, new_secret, write_keys
from harness_mail import Inbox
from harness_tls import Authority

MARK = "CANARY" + secrets.token_hex(6)
KINDS = ("pays", "declined", "refused", "misconfigured", "broken", "garbage", "cut", "other", "asks", "slow")
_serial = iter(range(1, 1 << 30))


def method_of(kind):
    """A payment method that nobody else has; the gateway below knows its kind by its name."""
    return f"pm_1{MARK}{next(_serial)}_{kind}"


def address():
    return f"{MARK}.{next(_serial)}@buyers.example"


def echo(form, headers):
    """Everything that a talkative gateway could say back."""
    said = {"type": "card_error", "payment_method": {"id": form["payment_method"], "card": {"last4": "4242"}},
            "receipt_email": form.get("receipt_email"), "doc_url": "https://docs.example/" + form["payment_method"],
            "message": f"{form['payment_method']} of {form.get('receipt_email')} by {headers['Authorization']}"}
    return {**said, "code": form["payment_method"], "decline_code": form["payment_method"]}


class Canary(Scripted):
    """One sale with everything that can go wrong; `words` collects what each part has said."""

    daemons = ()
    settings = {"CHECKOUT_LOG_LEVEL": "debug", "CHECKOUT_GATEWAY_TIMEOUT": "1s",
                "CHECKOUT_ACTION_WAIT": "1s", "CHECKOUT_MAIL": "true", "CHECKOUT_MAIL_TO_ANY": "true"}

    @classmethod
    def setUpClass(cls):
        cls.servers = harness_services.start_own()
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.stack.sql(f"alter database {self.stack.database} set log_min_duration_statement = 0")
        self.words = {}
        self.asked = {}
        self.asking = {}
        self.answer = self.talk
        self.gateway.cancel = lambda intent_id: (200, {**self.asking[intent_id], "status": "canceled"})
        self.gateway.refund = self.talk_of_refund
        self.redis_monitor()

    # -- a gateway that repeats everything, and is wrong in every way --------------------------------

    def intent(self, form, status="succeeded", **members):
        """With a client secret; its list shows it, too."""
        made = intent(form, status, client_secret=f"pi_3{MARK}_secret_{next(_serial)}", **members,
                      payment_method=form["payment_method"], receipt_email=form.get("receipt_email"))
        self.gateway.intents.insert(0, made)
        return made

    def talk_of_refund(self, form):
        paid = next(i for i in self.gateway.intents if i["id"] == form["payment_intent"])
        said = {"payment_method": paid["payment_method"], "receipt_email": paid["receipt_email"]}
        if len(self.gateway.asked_for_refunds()) == 1:
            return 500, {"error": {**echo(said, self.gateway.requests[-1][2]), "type": "api_error"}}
        status, refund = ScriptedGateway._refund(self.gateway, form)
        return status, {**refund, **said}

    def talk(self, form):
        """At first as its payment method says; from the second time on it is served."""
        headers = self.gateway.requests[-1][2]
        kind = form["payment_method"].rpartition("_")[2]
        asked = self.asked[kind] = self.asked.get(kind, 0) + 1
        error = echo(form, headers)
        if kind == "declined":
            return 402, {"error": {**error, "payment_intent": self.intent(form, "requires_payment_method")}}
        if kind == "refused":
            return 400, {"error": {**error, "type": "invalid_request_error", "param": "payment_method"}}
        if kind == "asks":
            asks = self.intent(form, "requires_action", next_action={"type": "use_stripe_sdk"})
            self.asking[asks["id"]] = asks
            return 200, asks
        if asked > 2:
            return 200, self.intent(form)
        return {"misconfigured": (401, {"error": {**error, "message": headers["Authorization"]}}),
                "broken": (500, {"error": {**error, "type": "api_error"}}),
                "garbage": (200, json.dumps(error).encode()[:-3]),
                "other": (200, self.intent(form, amount=1)),
                "cut": None}.get(kind, (200, self.intent(form)))

    # -- what each part says ---------------------------------------------------------------------------

    def redis_monitor(self):
        """Every command that Redis gets, from whomever."""
        url = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_REDIS_URL"])
        path = os.path.join(self.stack.directory, "redis-monitor.log")
        with open(path, "wb") as sink:
            monitor = subprocess.Popen(
                ["redis-cli", "-h", url.hostname, "-p", str(url.port), "monitor"], stdout=sink,
                env={**os.environ, "REDISCLI_AUTH": url.password})
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.kill)
        wait_until(lambda: os.path.getsize(path) > 0, 30, "the monitor to be let in")

    def hear(self, source, *texts):
        self.words.setdefault(source, []).extend(
            text if isinstance(text, bytes) else str(text).encode() for text in texts)

    def ask(self, user, method, path, body=None, headers=None):
        """An HTTP call whose answer is listened to."""
        answer = self.stack.call(user, method, path, body, headers)
        whose = " of its buyer" if user == "buyer-asks" else ""
        self.hear(f"answer to {method} {path.split('?')[0]}{whose}", answer.status, answer.headers, answer.body)
        return answer

    def buy(self, user, sku, method, **members):
        answer = self.ask(user, "POST", "/v1/orders",
                          {"sku": sku, "quantity": 1, "payment_method": method, "receipt_email": address(),
                           **members}, {"Idempotency-Key": secrets.token_hex(8)})
        self.assertEqual(answer.status, 202, answer)
        return harness.Order(self.stack, user, answer.json["id"])

    def hear_files(self):
        """Logs of daemons and servers; Redis's monitor; not the files that hold the secrets."""
        kept = {os.path.basename(value) for name, value in self.stack.settings.items() if name.endswith("_FILE")}
        for top in (self.stack.directory, self.servers, self.postgres_directory()):
            for directory, below, names in os.walk(top):
                below[:] = [name for name in below if name not in ("data", "secrets")]
                for name in set(names) - kept - {"settings", "redis.conf", "rabbitmq.conf", ".erlang.cookie"}:
                    with open(os.path.join(directory, name), "rb") as source:
                        self.hear(f"file {os.path.join(directory, name)}", source.read())

    def postgres_directory(self):
        with open(os.path.join(self.servers, "settings"), encoding="utf-8") as source:
            return re.search(r"^POSTGRES_DIR=(.*)$", source.read(), re.M).group(1)

    def hear_processes(self):
        """What ps shows to everybody, and the environment of our daemons."""
        self.hear("ps", subprocess.run(["ps", "axww", "-o", "args"], check=True, stdout=subprocess.PIPE).stdout)
        for daemon in self.stack.daemons:
            with open(f"/proc/{daemon.pid}/environ", "rb") as source:
                self.hear(f"environment of {daemon.name}", source.read())
            if daemon.admin:
                for path in ("/metrics", "/readyz", "/livez"):
                    self.hear(f"{daemon.name}{path}", harness.http_call(daemon.admin, "GET", path).body)

    def hear_operator(self, order):
        letters = json.loads(self.stack.ctl("dead", "list", "--json").stdout.splitlines()[0])
        commands = [["orders", "refund", order.id, "--note", "as agreed"], ["orders", "list"], ["orders", "show", order.id],
                    ["orders", "explain", order.id],
                    ["payments", "unknown"], ["shards"], ["consumers"], ["doctor"], ["items", "list"],
                    ["dead", "list"], ["dead", "show", letters["id"]], ["top", "--once"], ["audit"],
                    ["mails", "list"], ["events", "follow", "--once"], ["migrate"], ["topology"]]
        for command in commands:
            for options in ([], ["--json"]):
                done = self.stack.ctl(*command, *options, check=False,
                                      CHECKOUT_GATEWAY_URL=self.gateway.url)
                self.assertNotEqual(done.returncode, 2, (command, done.stderr))
                self.hear(f"checkoutctl {command[0]}", done.stdout, done.stderr)

    def hear_tables(self):
        """The rows of every table, each column apart."""
        columns = self.stack.sql("select table_schema, table_name, column_name from information_schema.columns "
                                 "where table_schema in ('checkout', 'public')")
        for schema, table, column in columns:
            rows = self.stack.sql(f'select "{column}"::text from {schema}."{table}"')
            self.hear(f"column {table}.{column}", *[row[0] for row in rows if row[0]])

    # -- what happens ----------------------------------------------------------------------------------

    def bad_requests(self):
        """Requests that are refused, each with secrets in it."""
        good = {"sku": "dress", "quantity": 1, "payment_method": method_of("pays"), "receipt_email": address()}
        key = {"Idempotency-Key": "k" * 20, "Content-Type": "application/json"}
        for change in ({"quantity": 0}, {"sku": 7}, {"payment_method": method_of("x") * 40},
                       {"payment_method": [method_of("x")]}, {"payment_method": method_of("x") + "\0"},
                       {"receipt_email": MARK + " at home"}, {"receipt_email": 3}, {"colour": MARK},
                       {"quantity": {"a": {"b": {"c": {"d": {"e": MARK}}}}}}):
            self.assertEqual(self.ask("eve", "POST", "/v1/orders", {**good, **change}, key).status, 400, change)
        whole = json.dumps(good)
        for body in (whole[:-2], whole.replace('"sku"', '"payment_method"'), whole + whole, f'"{MARK}"',
                     whole + " " * 5000, whole.replace(MARK, MARK + "\\ud800")):
            self.assertIn(self.ask("eve", "POST", "/v1/orders", body, key).status, (400, 413))
        self.ask(None, "POST", "/v1/orders", whole, key)
        for token in (self.stack.token("eve", lifetime=-5), self.stack.token("eve") + "x", MARK, "a.b.c"):
            self.ask(None, "POST", "/v1/orders", whole, {**key, "Authorization": "Bearer " + token})
        self.ask("eve", "POST", "/v1/orders", whole, {**key, "Content-Type": "text/plain"})
        self.ask("eve", "GET", f"/v1/orders/{MARK}")
        self.ask("eve", "PUT", "/v1/orders", whole, key)

    def bad_messages(self, sku):
        """What another publisher could send: for the dead letters, and for PostgreSQL to refuse."""
        shard = self.stack.shard(sku)
        job = self.stack.job("mallory", sku, payment_method=method_of("pays"), receipt_email=address())
        self.stack.publish(shard, harness.message(job)[:-4])
        self.stack.publish(shard, harness.message({**job, "order_id": MARK}))
        self.stack.publish_jobs({**job, "accepted_at": MARK}, shard=shard)
        self.stack.publish_jobs({**job, "user_id": "mallory2", "payment_method": 3}, shard=shard)
        wait_until(lambda: self.stack.broker.dead_depth() >= 2, 30, "the dead letters")

    def provoke_postgresql(self):
        """A refusal of a whole row, which PostgreSQL explains by showing it."""
        self.stack.sql("alter table orders add constraint nobody_called_ned check (user_id <> 'ned')")
        sku = self.stack.item()
        ned = self.buy("ned", sku, method_of("pays"))
        with open(os.path.join(self.postgres_directory(), "log"), "rb") as log:
            wait_until(lambda: b"nobody_called_ned" in log.read(), 30, "PostgreSQL to refuse it")
        self.stack.sql("alter table orders drop constraint nobody_called_ned")
        wait_until(lambda: self.ask("ned", "GET", f"/v1/orders/{ned.id}").status == 200, 30, "an answer to ned")

    def sale(self):
        """Orders of every kind, and who looks at others' orders; returns those that end."""
        sku, single = self.stack.item("dress", stock=100), self.stack.item(stock=1)
        other = self.stack.listen("eve")
        orders = [self.buy(f"buyer-{kind}", sku, method_of(kind)) for kind in KINDS]
        first = self.buy("ann", single, method_of("slow"))
        waiting = self.buy("bob", single, method_of("pays"))
        self.ask("bob", "DELETE", f"/v1/orders/{waiting.id}")
        for order in [*orders, first, waiting]:
            self.ask("eve", "GET", f"/v1/orders/{order.id}")
            self.ask("eve", "DELETE", f"/v1/orders/{order.id}")
            self.ask(order.user, "GET", f"/v1/orders/{order.id}")
        for order in [*orders, first, waiting]:
            order.wait_final(timeout=40)
            self.ask(order.user, "GET", f"/v1/orders/{order.id}")
            self.ask(order.user, "GET", "/v1/orders")
        self.hear("events of somebody else", *other.events)
        self.assertEqual(other.events, [])
        other.close()
        return orders

    def listeners(self, orders):
        """What those who ordered are sent when they come back."""
        for order in orders:
            listener = self.stack.listen(order.user, "?last_event_id=0")
            self.hear("events", *listener.events)
            listener.close()

    # -- the search ------------------------------------------------------------------------------------

    def found(self, pattern):
        """Sources whose words hold it, with the words around the first."""
        places = {}
        for source, texts in self.words.items():
            for text in texts:
                seen = re.search(pattern, text)
                if seen:
                    places.setdefault(source, text[max(0, seen.start() - 150):seen.end() + 80])
        return places

    def assert_all_was_heard(self):
        """What is said where nothing is secret: so each of these was listened to."""
        for source, word in (("producer-1.log", b"eve"), ("consumer-1.log", b"no definite answer"),
                             ("mailer-1.log", b"refused: 450 4.2.0"), ("checkoutctl mails", b"sent"),
                             ("redis-monitor", b"checkout:events:"), ("postgres", b"nobody_called_ned"),
                             ("postgres", rb"checkout\.decide"), ("rabbitmq", b"connection"),
                             ("ps", b"checkout-consumer"), ("/metrics", b"checkout_payments_total"),
                             ("checkoutctl dead", b"x-checkout-reason|reason"), ("answer to POST", b"pointer"),
                             ("column orders.", b"dress"), ("events", b"confirmed")):
            self.assertTrue([place for place in self.found(word) if source in place], (source, word))

    def take_out_what_the_buyer_is_told(self):
        """The client secret of the one payment whose buyer has to act goes to that buyer, and to nobody else."""
        secret = rb"pi_3" + MARK.encode() + rb"_secret_\d+"
        for source in [source for source in self.words if source.endswith(" of its buyer")]:
            self.words[source] = [re.sub(rb"(next_action.*)" + secret, rb"\1", text) for text in self.words[source]]
        told = rb"(checkout:events:buyer-asks\W.*)" + secret
        published = self.found(told)
        self.assertEqual({source.rpartition("/")[2] for source in published}, {"redis-monitor.log"}, published)
        for source in published:
            self.words[source] = [re.sub(told, rb"\1", text) for text in self.words[source]]

    def send_webhooks(self):
        """To an endpoint with a token in its URL, which says it again, and refuses each event once."""
        keys = os.path.join(self.stack.directory, "secrets")
        os.makedirs(keys)
        self.stack.secrets["HOOK"] = new_secret()
        write_keys(keys, "backend", self.stack.secrets["HOOK"])
        seen = set()

        def answer(hook, path):
            status = 200 if hook.id in seen else 500
            seen.add(hook.id)
            return status, {}, path.encode()
        self.receiver = Receiver(answer)
        self.addCleanup(self.receiver.close)
        settings = {"CHECKOUT_HOOKS_SECRETS": keys, "CHECKOUT_HOOKS_HTTP": "true", "CHECKOUT_HOOKS_ALLOW": "127.0.0.1"}
        self.stack.ctl("webhooks", "add", "backend", f"{self.receiver.url}/{MARK}?token={MARK}", **settings)
        self.stack.start("webhooks", CHECKOUT_LOG_LEVEL="debug", **settings)

    def send_mails(self):
        """Through a server that wants a login, and refuses each address once, by name."""
        authority = Authority(self.stack.directory, "authority")
        self.stack.secrets["SMTP"] = secrets.token_hex(16)
        password = self.stack.write_secret("secrets/smtp", self.stack.secrets["SMTP"])
        self.inbox = Inbox(certificate=authority.issue("mail"), login=("shop", self.stack.secrets["SMTP"]))
        self.inbox.repeats = True
        self.addCleanup(self.inbox.close)
        self.stack.start("mailer", CHECKOUT_SMTP_URL=f"smtp://shop@localhost:{self.inbox.port}",
                         CHECKOUT_SMTP_PASSWORD_FILE=password, CHECKOUT_SMTP_CA_FILE=authority.path,
                         CHECKOUT_MAIL_FROM="shop@shop.example")

    def mails_left(self):
        self.stack.sql("update mails set due_at = now() where state = 'due' and claimed_by is null")
        return self.stack.one("select count(*) from mails where state = 'due'")

    def test_no_secret_leaves_its_place(self):
        for name in ("producer", "notifier"):
            self.stack.start(name)
        self.send_webhooks()
        self.send_mails()
        self.consume()
        self.bad_requests()
        orders = self.sale()
        self.bad_messages("dress")
        self.provoke_postgresql()
        self.listeners(orders)
        wait_until(lambda: self.mails_left() == 0, 30, "the mails to leave")
        self.assertTrue(self.inbox.mails)
        self.hear_processes()
        self.hear_operator(orders[0])
        orders[0].wait("refunded")
        self.hear_tables()
        self.consumer.stop()
        self.stack.stop_daemons()
        self.consumer = None
        self.hear_files()

        self.assert_all_was_heard()
        addresses = self.found(re.escape(MARK).encode() + rb"\.\d+@")
        kept = {"column orders.receipt_email", "column orders.mail_to"}
        self.assertEqual(set(addresses), kept, addresses)
        for column in kept:
            self.words.pop(column)
        for place in ("column hook_endpoints.url", "column hook_deliveries.answer"):
            self.assertTrue([text for text in self.words.pop(place) if MARK.encode() in text], place)
        self.take_out_what_the_buyer_is_told()
        self.assertEqual(self.found(MARK.encode()), {})
        for name, secret in self.stack.secrets.items():
            self.assertEqual(self.found(re.escape(secret).encode()), {}, name)
        tokens = self.found(rb"eyJ[A-Za-z0-9_-]{10,}\.")
        self.assertEqual({source for source in tokens if not source.startswith("answer to")}, set(), tokens)
        for name in ("DATABASE", "AMQP", "REDIS"):
            password = urllib.parse.urlsplit(self.stack.direct[f"CHECKOUT_{name}_URL"]).password
            shown = self.found(re.escape(password).encode())
            self.assertEqual({source for source in shown if not source.startswith("environment of")}, set(), shown)


if __name__ == "__main__":
    harness.main()
