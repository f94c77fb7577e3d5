#!/usr/bin/python3
"""The logins that `checkoutctl roles --apply` makes, at real servers: each program works with its own, and with no more."""

import json
import os
import secrets
import subprocess
import urllib.parse

import pika
import pika.exceptions
import psycopg2
import redis

import harness
import harness_services

PROGRAMS = ("producer", "consumer", "notifier", "operator")


def broker_environment(directory):
    """What rabbitmqctl needs for the private node of these servers."""
    with open(os.path.join(directory, "rabbitmq1.pid"), encoding="ascii") as note:
        pid = int(note.read().split()[0])
    with open(f"/proc/{pid}/environ", "rb") as source:
        pairs = dict(pair.decode().partition("=")[::2] for pair in source.read().split(b"\0") if pair)
    return {name: value for name, value in pairs.items()
            if name in ("HOME", "PATH", "LANG", "RABBITMQ_NODENAME") or name.startswith("ERL_EPMD")}


class Rights(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = harness_services.start_own()
        super().setUpClass()
        cls.stack.settings["CHECKOUT_OPEN_ORDERS_PER_USER"] = "100"     # needs rights of its own
        cls.passwords = os.path.join(cls.stack.directory, "passwords")
        os.makedirs(cls.passwords)
        for name in PROGRAMS:
            with open(os.path.join(cls.passwords, name), "w", encoding="ascii") as sink:
                sink.write(secrets.token_hex(16) + "\n")
        for _ in range(2):      # it may run again
            cls.print_logins()
        cls.drop_logins()
        cls.said = [cls.apply_logins() for _ in range(2)]

    @classmethod
    def print_logins(cls):
        def printed(server):
            text = cls.stack.ctl("roles", server, "--passwords", cls.passwords).stdout
            for name in PROGRAMS:
                assert cls.password(name) not in text
            return text

        def run(*command, text, env=None):
            done = subprocess.run(command, input=text, text=True, env=env, check=False, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            assert done.returncode == 0 and "ERR" not in done.stdout, done.stdout
        direct = cls.stack.direct
        run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", direct["CHECKOUT_DATABASE_URL"], text=printed("postgresql"))
        run("sh", "-e", text=printed("rabbitmq"), env=broker_environment(cls.servers))
        url = urllib.parse.urlsplit(direct["CHECKOUT_REDIS_URL"])
        run("redis-cli", "-h", url.hostname, "-p", str(url.port), text=printed("redis"),
            env={**os.environ, "REDISCLI_AUTH": url.password})

    @classmethod
    def drop_logins(cls):
        """Of those that apply makes: what the tests use is its work."""
        cls.stack.redis().execute_command("ACL", "DELUSER", *(f"checkout_{name}" for name in PROGRAMS))
        for name in ("mailer", "webhooks", "console", *PROGRAMS):
            harness.query_once(cls.stack.direct["CHECKOUT_DATABASE_URL"], f"drop role shop_{name}")

    @classmethod
    def apply_logins(cls):
        """What it says."""
        servers = {name: cls.stack.direct[name] for name in ("CHECKOUT_DATABASE_URL", "CHECKOUT_REDIS_URL")}
        said = "".join(cls.stack.ctl("roles", server, "--apply", "--passwords", cls.passwords, **servers).stdout
                       for server in ("postgresql", "redis"))
        for name in PROGRAMS:
            assert cls.password(name) not in said
        return said

    @classmethod
    def password(cls, name):
        with open(os.path.join(cls.passwords, name), encoding="ascii") as source:
            return source.read().strip()

    def with_user(self, server, user, password=None):
        parts = urllib.parse.urlsplit(self.stack.direct[f"CHECKOUT_{server}_URL"])
        login = user if password is None else f"{user}:{password}"
        return urllib.parse.urlunsplit(parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}"))

    def own(self, program):
        """The settings of one program: its own login at each server, its password in one file."""
        file = os.path.join(self.passwords, program)
        mine = {"CHECKOUT_DATABASE_URL": self.with_user("DATABASE", f"shop_{program}"),
                "CHECKOUT_DATABASE_PASSWORD_FILE": file,
                "CHECKOUT_REDIS_URL": self.with_user("REDIS", f"checkout_{program}"),
                "CHECKOUT_REDIS_PASSWORD_FILE": file}
        if program != "notifier":
            mine["CHECKOUT_AMQP_URL"] = self.with_user("AMQP", f"checkout_{program}")
            mine["CHECKOUT_AMQP_PASSWORD_FILE"] = file
        return mine

    def refuses(self, *arguments, **settings):
        done = self.stack.ctl("roles", *arguments, "--apply", check=False, **settings)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("made", done.stdout)
        return done.stderr

    # -- tests -------------------------------------------------------------------------------------

    def test_it_says_what_it_did_and_a_second_time_changes_nothing(self):
        first, second = self.said
        for name in PROGRAMS:
            self.assertIn(f"shop_{name}: made", first)
            self.assertIn(f"shop_{name}: was there", second)
            self.assertIn(f"checkout_{name}: made", first)
            self.assertIn(f"checkout_{name}: as before", second)
        self.assertIn("shop_mailer: left out", first)
        self.assertIn("Redis has no file of users", first)
        client = self.stack.redis()
        client.execute_command("ACL", "SETUSER", "checkout_notifier", "+flushall")
        self.assertIn("checkout_notifier: changed", self.apply_logins())
        self.assertNotIn("+flushall", str(client.execute_command("ACL", "LIST")))

    def test_it_says_why_it_refuses_and_has_changed_nothing_then(self):
        hashes = "select rolname, rolpassword from pg_authid where rolname like 'shop\\_%' order by 1"
        before = harness.query_once(self.stack.direct["CHECKOUT_DATABASE_URL"], hashes)
        self.assertEqual(len(before), len(PROGRAMS))
        self.assertTrue(all(text.startswith("SCRAM-SHA-256$") for _, text in before), before)
        empty = os.path.join(self.stack.directory, "empty")
        os.makedirs(empty)
        for server, reason in (("postgresql", "permission denied"), ("redis", "no permissions")):
            self.assertIn(f"{empty}/producer: No such file", self.refuses(server, "--passwords", empty))
            said = self.refuses(server, "--passwords", self.passwords, **self.own("operator"))
            self.assertRegex(said, f"{reason}.* has to name a ")
        self.assertEqual(harness.query_once(self.stack.direct["CHECKOUT_DATABASE_URL"], hashes), before)

    def test_each_program_works_with_its_own_login(self):
        self.addCleanup(self.stack.stop_daemons)
        self.stack.start("sandbox")
        for name in ("consumer", "producer", "notifier"):
            self.stack.start(name, **self.own(name))
        operator = self.own("operator")
        dress = self.stack.item(stock=1, gate="lock")
        passes = self.stack.item(stock=5, gate="soldout")
        heard = self.stack.listen("ann")
        first = self.stack.order("ann", dress)
        first.wait("confirmed")
        self.assertEqual(heard.wait_final(first.id)["data"]["status"], "confirmed")
        harness.wait_until(lambda: self.stack.redis().zcard("checkout:open:ann") == 0, 20, "no order of hers to be open")
        harness.wait_until(lambda: self.stack.post("bob", dress).status == 409, 20, "the dress to be sold out")
        orders = [self.stack.order(f"buyer-{n}", passes) for n in range(5)]
        for order in orders:
            order.wait("confirmed")
        publisher = pika.BlockingConnection(pika.URLParameters(self.stack.direct["CHECKOUT_AMQP_URL"]))
        publisher.channel().basic_publish("", f"checkout.jobs.4.{self.stack.shard(passes)}", b"no job")
        publisher.close()
        self.stack.ctl("orders", "refund", orders[0].id, **operator)
        orders[0].wait("refunded")
        self.stack.ctl("items", "restock", passes, "2", **operator)
        harness.wait_until(lambda: json.loads(self.stack.ctl("dead", "list", "--json", **operator).stdout), 20,
                           "the dead letter")
        self.stack.ctl("topology", **operator)
        self.stack.ctl("orders", "explain", first.id, **operator)
        said = self.stack.ctl("doctor", check=False, **operator).stdout
        self.assertNotIn("fail", said)
        self.stack.ctl("audit", **operator)

    def test_nobody_may_do_what_belongs_to_another(self):
        def broker(program, act):
            url = self.with_user("AMQP", f"checkout_{program}", self.password(program))
            connection = pika.BlockingConnection(pika.URLParameters(url))
            try:
                channel = connection.channel()
                with self.assertRaises(pika.exceptions.ChannelClosedByBroker) as refused:
                    act(channel)
                self.assertEqual(refused.exception.reply_code, 403)
            finally:
                connection.close()
        queue = f"checkout.jobs.{self.stack.shards}.0"
        broker("producer", lambda channel: channel.basic_get(queue))
        broker("producer", lambda channel: channel.queue_delete(queue))
        broker("producer", lambda channel: channel.queue_declare("own"))

        def publish(channel):
            channel.confirm_delivery()
            channel.basic_publish(f"checkout.jobs.{self.stack.shards}", queue, b"x")
        broker("consumer", publish)
        broker("consumer", lambda channel: channel.queue_purge("other"))

        def refused(program, *command):
            client = redis.Redis.from_url(self.with_user("REDIS", f"checkout_{program}", self.password(program)))
            with self.assertRaises(redis.exceptions.NoPermissionError, msg=f"{program}: {command}"):
                client.execute_command(*command)
        for program in PROGRAMS:
            for command in (("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("GET", "other"), ("ACL", "LIST"),
                            ("PUBLISH", "other", "x"), ("SUBSCRIBE", "other")):
                refused(program, *command)
        refused("notifier", "PUBLISH", "checkout:events:ann", "x")
        refused("notifier", "GET", "checkout:seen:x")
        refused("producer", "PUBLISH", "checkout:events:ann", "x")
        refused("consumer", "SUBSCRIBE", "checkout:events:ann")
        with self.assertRaises(psycopg2.errors.InsufficientPrivilege):   # the rest: test_roles
            harness.query_once(self.with_user("DATABASE", "shop_notifier", self.password("notifier")),
                               "update checkout.items set stock = 9")


if __name__ == "__main__":
    harness.main()
