#!/usr/bin/python3
"""A real Prometheus scrapes a running sale with the rules and the dashboard that we ship: silent while all is well, and
every panel has data; each alarm rings by the fault that it is for. Waits and windows of the rules are shortened."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pika
import psycopg2

import harness
from harness import free_port, http_call, wait_until
from harness_clock import Clock
from harness_keys import ProviderKey, publish
from harness_services import ROOT
from harness_spans import Collector

RULES = os.path.join(ROOT, "deploy/prometheus/checkout.rules.yml")
DASHBOARD = os.path.join(ROOT, "deploy/grafana/checkout.json")
WINDOW = "10s"


class Prometheus:
    """A server of our own over the daemons of a stack."""

    def __init__(self, stack):
        self.stack, self.directory = stack, tempfile.mkdtemp(prefix="prometheus-", dir=stack.directory)
        self.targets = os.path.join(self.directory, "targets.json")
        with open(RULES, encoding="utf-8") as source:
            rules = re.sub(r"for: \S+", "for: 1s", source.read())
        rules = re.sub(r"\[\d+[sm]\]", f"[{WINDOW}]", rules)
        self.write("rules.yml", rules)
        self.write("prometheus.yml", json.dumps({   # which is YAML, too
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "checkout", "file_sd_configs": [{"files": [self.targets], "refresh_interval": "1s"}]}]}))
        self.see()
        self.url = f"http://127.0.0.1:{free_port()}"
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data",
                 f"--web.listen-address={self.url[len('http://'):]}", "--query.lookback-delta=3s"],
                stdout=log, stderr=subprocess.STDOUT, cwd=self.directory)
        wait_until(lambda: self.query("up"), 30, "Prometheus to scrape")

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as sink:
            sink.write(text)

    def see(self, without=None):
        """The daemons that run now, but for this one."""
        groups = [{"targets": [daemon.admin[len("http://"):]], "labels": {"job": daemon.name[len("checkout-"):]}}
                  for daemon in self.stack.daemons if daemon.admin and daemon.running() and daemon is not without]
        self.write("targets.new", json.dumps(groups))
        os.replace(os.path.join(self.directory, "targets.new"), self.targets)

    def query(self, expression):
        with contextlib.suppress(OSError):
            answer = http_call(self.url, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
            if answer.status == 200:
                return json.loads(answer.body)["data"]["result"]
            if answer.status != 503:    # it starts
                raise AssertionError(f"{expression}: {answer}")
        return []

    def values(self, expression):
        """[labels, value] of each series that has a value: a quantile of nothing is NaN."""
        series = [[row["metric"], float(row["value"][1])] for row in self.query(expression)]
        return [[labels, value] for labels, value in series if value == value]

    def ringing(self):
        return {row["metric"]["alertname"] for row in self.query('ALERTS{alertstate="firing"}')}

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Crowd:
    """Buyers who come, some with bad cards, to items with and without a line. Each third is Vera, who comes again and again."""

    def __init__(self, stack):
        self.stack, self.stopping = stack, threading.Event()
        self.items = [stack.item(stock=1000), stack.item(stock=3), stack.item(stock=1000, currency="jpy")]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        n = 0
        while not self.stopping.wait(0.1):
            n += 1
            with contextlib.suppress(OSError, LookupError):
                self.stack.post(f"crowd-{n}" if n % 3 else "vera", self.items[n % 3],
                                payment_method="pm_card_chargeDeclined" if n % 5 == 0 else "pm_card_visa")

    def stop(self):
        self.stopping.set()
        self.thread.join()


class Alerts(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    proxied = ("redis",)

    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.settings = {"CHECKOUT_OTLP_ENDPOINT": cls.collector.url, "CHECKOUT_OTLP_TIMEOUT": "500ms", "CHECKOUT_TRACE_RATIO": "1"}
        super().setUpClass()
        cls.prometheus = Prometheus(cls.stack)
        cls.addClassCleanup(cls.prometheus.close)
        cls.crowd = Crowd(cls.stack)
        cls.addClassCleanup(cls.crowd.stop)

    # -- faults ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def away(self, name):
        daemon = self.stack.daemon(name)
        daemon.stop()
        try:
            yield
        finally:
            self.again(daemon)

    def again(self, daemon):
        self.stack.start_again(daemon)
        self.prometheus.see()

    @contextlib.contextmanager
    def calm_afterwards(self):
        try:
            yield
        finally:
            self.stack.gateway.calm()

    def no_notifier(self):
        return self.away("notifier")

    @contextlib.contextmanager
    def unscraped(self):
        self.prometheus.see(without=self.stack.daemon("consumer"))
        try:
            yield
        finally:
            self.prometheus.see()

    def no_door(self):
        return self.away("producer")

    @contextlib.contextmanager
    def dead_door(self):
        door = self.stack.daemon("producer")
        door.kill()
        self.stack.sql("update checkout.daemons set heartbeat_at = now() - interval '20 s' where program = 'producer'")
        try:
            yield
        finally:
            self.again(door)

    def no_consumer(self):
        return self.away("consumer")

    @contextlib.contextmanager
    def full_queues(self):
        """No queue takes what the door publishes."""
        exchange = f"checkout.jobs.{self.stack.shards}"
        connection = pika.BlockingConnection(pika.URLParameters(self.stack.direct["CHECKOUT_AMQP_URL"]))
        channel = connection.channel()
        for shard in range(self.stack.shards):
            channel.queue_unbind(f"{exchange}.{shard}", exchange, str(shard))
        try:
            yield
        finally:
            for shard in range(self.stack.shards):
                channel.queue_bind(f"{exchange}.{shard}", exchange, str(shard))
            connection.close()

    def no_gateway(self):
        return self.away("sandbox")

    @contextlib.contextmanager
    def wrong_key(self):
        sandbox = self.stack.daemon("sandbox")
        sandbox.stop()
        key = self.stack.write_secret("other-key", "sk_other")
        other = self.stack.start("sandbox", wait=False, CHECKOUT_GATEWAY_KEY_FILE=key)
        try:
            yield
        finally:
            other.stop()
            self.again(sandbox)

    @contextlib.contextmanager
    def slow_gateway(self):
        with self.calm_afterwards():
            self.stack.gateway.latency(6000)
            yield

    @contextlib.contextmanager
    def unclear_money(self):
        sku = self.stack.item()
        with self.slow_gateway():
            order = self.stack.order("ann", sku).wait("reserved")
            self.stack.sql("update payments set unclear_since = now() - interval '10 minutes' where order_id = %s",
                           (order.id,))
            yield

    @contextlib.contextmanager
    def failed_refund(self):
        """As if the gateway had taken it back."""
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        self.stack.ctl("orders", "refund", order.id)
        order.wait("refunded")
        state = "update refunds set state = %s where order_id = %s"
        self.stack.sql(state, ("failed", order.id))
        try:
            yield
        finally:
            self.stack.sql(state, ("succeeded", order.id))

    @contextlib.contextmanager
    def no_redis(self):
        self.stack.proxies["redis"].down()
        try:
            yield
        finally:
            self.stack.proxies["redis"].up()

    @contextlib.contextmanager
    def unreadable(self):
        self.stack.publish(0, b"no job")
        try:
            yield
        finally:
            self.stack.dead_letters()

    @contextlib.contextmanager
    def expired_job(self):
        consumer = self.stack.daemon("consumer")
        consumer.stop()
        crowded = {self.stack.shard(sku) for sku in self.crowd.items}    # a message expires only at the head of its queue
        sku = next(sku for sku in map(str, range(1000)) if self.stack.shard(sku) not in crowded)
        self.stack.publish(self.stack.shard(sku), harness.message(self.stack.job("eve", sku)), expiration="1")
        wait_until(lambda: self.stack.broker.dead_depth() > 0, 20, "its dead letter")
        self.again(consumer)
        try:
            yield
        finally:
            self.stack.dead_letters()

    @contextlib.contextmanager
    def locked_item(self):
        session = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        sku = self.stack.item()
        session.cursor().execute("select 1 from checkout.items where sku = %s for update", (sku,))
        self.stack.order("ann", sku)
        try:
            yield
        finally:
            session.close()

    @contextlib.contextmanager
    def frozen(self):
        """Time and again it does not run for half a second."""
        daemon, over = self.stack.daemon("consumer"), threading.Event()

        def freeze():
            while not over.wait(0.2):
                daemon.process.send_signal(signal.SIGSTOP)
                time.sleep(0.6)
                daemon.process.send_signal(signal.SIGCONT)
        thread = threading.Thread(target=freeze)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextlib.contextmanager
    def no_mail_server(self):
        orders = [self.stack.order("ann", self.crowd.items[0]).wait("confirmed").id for _ in range(4)]
        self.stack.sql("update orders set mail_to = 'ann@example.org' where order_id = any (%s::uuid[])", (orders,))
        self.stack.sql("insert into mails (order_id, kind, due_at) select o, k, now() - interval '1 hour' "
                       "from unnest(%s::uuid[]) o, unnest(array['confirmed', 'refunded', 'rejected']) k", (orders,))
        with self.another("mailer", CHECKOUT_SMTP_URL=f"smtp://127.0.0.1:{free_port()}", CHECKOUT_MAIL_FROM="s@example.org",
                          CHECKOUT_MAIL_INFLIGHT="1"):
            yield
        self.stack.sql("delete from mails")

    @contextlib.contextmanager
    def another(self, name, **settings):
        daemon = self.stack.start(name, **settings)
        self.prometheus.see()
        try:
            yield
        finally:
            daemon.stop()
            self.prometheus.see()

    @contextlib.contextmanager
    def endpoint(self, *then):
        """One that is not there, with an old event before it."""
        folder = self.stack.directory
        self.stack.ctl("webhooks", "add", "hook", "https://127.0.0.1:1/", CHECKOUT_HOOKS_SECRETS=folder)
        self.stack.sql("insert into hook_deliveries (endpoint, event_id, type, at) "
                       "values ('hook', 0, 'order.confirmed', now() - interval '1 hour')")
        for command in then:
            self.stack.ctl("webhooks", command, "hook")
        with self.another("webhooks", CHECKOUT_HOOKS_SECRETS=folder):
            yield
        self.stack.ctl("webhooks", "remove", "hook")

    def lost_endpoint(self):
        return self.endpoint()

    def paused_endpoint(self):
        return self.endpoint("pause")

    @contextlib.contextmanager
    def foreign_state(self):
        """Somebody says for an hour that an item is sold out."""
        self.stack.redis().set(f"checkout:gate:{self.crowd.items[0]}", "soldout:sold", ex=3600)
        yield

    @contextlib.contextmanager
    def silent_collector(self):
        self.collector.silent = True
        try:
            yield
        finally:
            self.collector.silent = False

    def wrong_clock(self):
        clock = Clock()
        clock.set("+3600")
        return self.another("producer", **clock.environment)

    @contextlib.contextmanager
    def half_written_keys(self):
        path, key = os.path.join(self.stack.directory, "jwks.json"), ProviderKey("ES256", "one")
        publish(path, key.jwk())
        with self.another("producer", CHECKOUT_JWKS_FILE=path):
            wait_until(lambda: self.prometheus.query("checkout_token_keys_file_good == 1"), 10, "the file to be good")
            self.assertNotIn("CheckoutTokenKeysStale", self.prometheus.ringing())
            with open(path, "r+", encoding="ascii") as keys:
                keys.truncate(40)
            yield

    FAULTS = {
        "CheckoutUnseen": no_notifier, "CheckoutNotScraped": unscraped, "CheckoutNoProducer": no_door, "CheckoutDaemonDead": dead_door,
        "CheckoutUnserved": no_consumer, "CheckoutUndecided": no_consumer, "CheckoutProducerRefuses": full_queues,
        "CheckoutPaymentsStopped": no_gateway, "CheckoutGatewayRefusesUs": wrong_key, "CheckoutGatewaySlow": slow_gateway,
        "CheckoutMoneyUnclear": unclear_money, "CheckoutRefundFailed": failed_refund, "CheckoutNewsStuck": no_redis,
        "CheckoutServerAway": no_redis,
        "CheckoutDeadLetters": unreadable, "CheckoutJobsLost": expired_job, "CheckoutItemsSetAside": locked_item,
        "CheckoutLoopBusy": frozen, "CheckoutMailsWait": no_mail_server, "CheckoutWebhooksWait": lost_endpoint,
        "CheckoutWebhooksPaused": paused_endpoint, "CheckoutClockWrong": wrong_clock,
        "CheckoutTokenKeysStale": half_written_keys,
        "CheckoutStockDrift": foreign_state, "CheckoutSpansLost": silent_collector}

    # -- tests ---------------------------------------------------------------------------------------------

    def test_a_healthy_sale_is_silent_and_every_panel_has_data(self):
        listener = self.stack.listen("vera")
        self.addCleanup(listener.close)
        with open(DASHBOARD, encoding="utf-8") as source:
            targets = [(panel["title"], target["expr"]) for panel in json.load(source)["panels"]
                       for target in panel.get("targets", ())]
        self.assertGreater(len(targets), 30)
        wanted = [(title, expression.replace("$__rate_interval", WINDOW)) for title, expression in targets]

        def empty():
            return [(title, expression) for title, expression in wanted if not self.prometheus.values(expression)]
        wait_until(lambda: not empty(), 40, lambda: f"values of {empty()}")
        self.assertEqual(self.prometheus.ringing(), set())

    def test_each_alarm_rings_by_its_fault(self):
        names = harness.drawn(self.FAULTS)
        for name in names if len(names) == len(self.FAULTS) else names[:2]:
            with self.subTest(name):
                wait_until(lambda: name not in self.prometheus.ringing(), 30, "silence")
                began = time.monotonic()
                with self.FAULTS[name](self):
                    wait_until(lambda: name in self.prometheus.ringing(), 40,
                               lambda: f"{name} to ring; there are {self.prometheus.ringing()}")
                    took = time.monotonic() - began
                print(f"{name}: {took:.1f} s", flush=True)

    def test_each_alarm_has_its_page_and_its_fault(self):
        with open(RULES, encoding="utf-8") as source:
            text = source.read()
        names = re.findall(r"alert: (\w+)", text)
        with open(os.path.join(ROOT, "docs/runbook.md"), encoding="utf-8") as source:
            pages = re.findall(r"^## (\w+)$", source.read(), re.MULTILINE)
        self.assertEqual(sorted(names), sorted(pages))
        self.assertEqual(sorted(names), sorted(self.FAULTS))
        links = re.findall(r"alert: (\w+)(?:(?!alert:).)*?runbook_url: (\S+)$", text, re.DOTALL | re.MULTILINE)
        self.assertEqual([name for name, _ in links], names)
        for name, link in links:
            self.assertTrue(link.endswith("docs/runbook.md#" + name.lower()), f"{name}: {link}")

    def test_commands_of_the_runbook_are_there(self):
        with open(os.path.join(ROOT, "docs/runbook.md"), encoding="utf-8") as source:
            text = source.read()
        queries = re.findall(r'psql -d checkout -c "([^"]+)"', text)
        self.assertEqual(len(queries), 2)
        for query in queries:
            self.stack.sql(query)
        commands = set(re.findall(r"`checkoutctl ([^`]+)`", text))
        self.assertGreater(len(commands), 15)
        for command in commands:
            words = re.match(r"[a-z ]*[a-z]", command)[0].removesuffix(" captured").split()
            told = self.stack.ctl(*words, "--help").stdout
            self.assertIn(f"checkoutctl {' '.join(words)}", told, command)
            for option in re.findall(r"--[a-z-]+", command):
                self.assertIn(f"  {option}", told, command)

    def test_the_rules_pass_their_own_tests(self):
        done = subprocess.run(["promtool", "test", "rules", os.path.join(ROOT, "deploy/prometheus/checkout_test.yml")],
                              check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    harness.main()
