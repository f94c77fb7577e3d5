#!/usr/bin/python3
"""The logins that `checkoutctl roles --apply` makes, at real servers: each program works with its own, and with no more."""

import base64
import json
import os
import secrets
import subprocess
import urllib.parse
import urllib.request

import pika
import pika.exceptions
import psycopg2
import redis

import harness
import harness_services

PROGRAMS = ("producer", "consumer", "notifier", "operator")
AT_RABBITMQ = ("producer", "consumer", "operator")


class Rights(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = harness_services.PrivateNode(harness_services.start_own())
        super().setUpClass()
        cls.stack.settings["CHECKOUT_OPEN_ORDERS_PER_USER"] = "100"     # needs rights of its own
        cls.passwords = os.path.join(cls.stack.directory, "passwords")
        os.makedirs(cls.passwords)
        for name in PROGRAMS:
            with open(os.path.join(cls.passwords, name), "w", encoding="ascii") as sink:
                sink.write(secrets.token_hex(16) + "\n")
        for _ in range(2):      # it may run again
            cls.print_logins()
        cls.api = {"CHECKOUT_BROKER_API_URL": cls.node.enable_management()}
        cls.printed = cls.users(), cls.logins()
        cls.drop_logins()
        cls.said = [cls.apply_logins() for _ in range(2)]
        cls.applied = cls.logins()

    @classmethod
    def print_logins(cls):
        def printed(server):
            text = cls.stack.ctl("roles", server, "--passwords", cls.passwords).stdout
            for name in PROGRAMS:
                assert cls.password(name) not in text
            assert (cls.passwords in text) == (server == "postgresql")      # the other hosts have no such folder
            return text

        def run(*command, text, env=None):
            done = subprocess.run(command, input=text, text=True, env=env, check=False, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            assert done.returncode == 0 and "ERR" not in done.stdout, done.stdout
        direct = cls.stack.direct
        run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", direct["CHECKOUT_DATABASE_URL"], text=printed("postgresql"))
        run("sh", "-e", text=printed("rabbitmq"), env=cls.node.environment)
        url = urllib.parse.urlsplit(direct["CHECKOUT_REDIS_URL"])
        run("redis-cli", "-h", url.hostname, "-p", str(url.port), text=printed("redis"),
            env={**os.environ, "REDISCLI_AUTH": url.password})

    @classmethod
    def drop_logins(cls):
        """Of those that apply makes: what the tests use is its work."""
        cls.stack.redis().execute_command("ACL", "DELUSER", *(f"checkout_{name}" for name in PROGRAMS))
        for name in AT_RABBITMQ:
            cls.at_rabbitmq("DELETE", f"users/checkout_{name}")
        for name in ("mailer", "webhooks", "console", *PROGRAMS):
            harness.query_once(cls.stack.direct["CHECKOUT_DATABASE_URL"], f"drop role shop_{name}")

    @classmethod
    def apply_logins(cls):
        """What it says."""
        servers = {name: cls.stack.direct[name] for name in harness_services.NEEDED} | cls.api
        said = "".join(cls.stack.ctl("roles", server, "--apply", "--passwords", cls.passwords, **servers).stdout
                       for server in ("postgresql", "rabbitmq", "redis"))
        for name in PROGRAMS:
            assert cls.password(name) not in said
        return said

    @classmethod
    def at_rabbitmq(cls, method, path, body=None):
        """What the management API answers to its administrator."""
        login = urllib.parse.urlsplit(cls.stack.direct["CHECKOUT_AMQP_URL"])
        basic = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        request = urllib.request.Request(f"{cls.api['CHECKOUT_BROKER_API_URL']}/api/{path}", method=method,
                                         data=json.dumps(body or {}).encode() if method == "PUT" else None,
                                         headers={"Authorization": f"Basic {basic}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

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
            at_both = 2 if name in AT_RABBITMQ else 1
            self.assertEqual(first.count(f"checkout_{name}: made"), at_both)
            self.assertEqual(second.count(f"checkout_{name}: as before"), at_both)
        self.assertIn("shop_mailer: left out", first)
        self.assertIn("Redis has no file of users", first)
        client = self.stack.redis()
        client.execute_command("ACL", "SETUSER", "checkout_notifier", "+flushall")
        self.assertIn("checkout_notifier: changed", self.apply_logins())
        self.assertNotIn("+flushall", str(client.execute_command("ACL", "LIST")))

    @classmethod
    def users(cls):
        """name → its tags and rights, and what RabbitMQ keeps of its password."""
        rights = {row["user"]: tuple(row[name] for name in ("configure", "write", "read"))
                  for row in cls.at_rabbitmq("GET", "permissions")}
        return {row["name"]: (row["tags"], rights.get(row["name"]), (row["password_hash"], row["hashing_algorithm"]))
                for row in cls.at_rabbitmq("GET", "users")}

    @classmethod
    def logins(cls):
        """What PostgreSQL keeps of those that have a password, and Redis of all, but for PostgreSQL's hash, which is salted."""
        roles = harness.query_once(cls.stack.direct["CHECKOUT_DATABASE_URL"], """
            select to_jsonb(r) - 'oid' - 'rolpassword', left(a.rolpassword, 14), array(
                       select its.rolname from pg_auth_members m join pg_roles its on its.oid = m.roleid where m.member = a.oid
                       order by 1)
            from pg_authid a join pg_roles r on r.oid = a.oid where a.rolname = any(%s) order by a.rolname
            """, ([f"shop_{name}" for name in PROGRAMS],))
        return roles, [line for line in cls.stack.redis().execute_command("ACL", "LIST") if "checkout_" in str(line)]

    def test_the_text_for_rabbitmqs_own_tool_makes_the_same_logins(self):
        def without_hash(users):
            return {name: (tags, rights, algorithm) for name, (tags, rights, (_, algorithm)) in users.items()}
        self.assertEqual(without_hash(self.printed[0]), without_hash(self.users()))

    def test_the_texts_for_postgresql_and_redis_make_the_same_logins(self):
        roles, users = self.applied
        self.assertEqual([(len(roles), len(users)), *self.printed[1]], [(len(PROGRAMS),) * 2, roles, users])

    def test_it_puts_right_what_was_changed_at_rabbitmq(self):
        before = self.users()
        self.assertEqual({name: tags for name, (tags, _, _) in before.items() if name != "checkout"},
                         {"checkout_producer": [], "checkout_consumer": [], "checkout_operator": ["management"]})
        user, rights = "users/checkout_producer", "permissions/%2f/checkout_producer"
        _, _, (kept, algorithm) = before["checkout_producer"]
        for change in (("PUT", user, {"password_hash": kept, "hashing_algorithm": algorithm, "tags": "administrator"}),
                       ("PUT", rights, {"configure": ".*", "write": ".*", "read": ".*"}),
                       ("DELETE", rights),
                       ("PUT", user, {"password": "another", "tags": ""})):
            self.at_rabbitmq(*change)
            said = self.apply_logins()
            with self.subTest(change=change):
                self.assertIn("checkout_producer: changed", said)
                self.assertEqual(said.count("as before"), len(PROGRAMS) + len(AT_RABBITMQ) - 1)
                now = self.users()
                self.assertEqual(now["checkout_producer"][:2], before["checkout_producer"][:2])
        salted = [now.pop("checkout_producer")[2], before.pop("checkout_producer")[2]]
        self.assertEqual({algorithm for _, algorithm in salted}, {"rabbit_password_hashing_sha256"})
        self.assertNotEqual(*salted)
        self.assertEqual(now, before)
        pika.BlockingConnection(pika.URLParameters(
            self.with_user("AMQP", "checkout_producer", self.password("producer")))).close()

    def test_it_says_why_rabbitmq_refuses_and_has_changed_nothing_then(self):
        before = self.users()
        url = self.stack.direct["CHECKOUT_AMQP_URL"]
        nobody = {"CHECKOUT_BROKER_API_URL": f"http://127.0.0.1:{harness_services.free_port()}"}
        amqp = {"CHECKOUT_BROKER_API_URL": f"http://127.0.0.1:{urllib.parse.urlsplit(url).port}"}
        wrong = {"CHECKOUT_AMQP_URL": self.with_user("AMQP", "checkout", "wrong")}
        for words, settings, options in (
                ("does not answer.*; nothing was changed. Is its plugin on", nobody, ()),
                ("does not answer.*; nothing was changed. Is its plugin on", amqp, ()),
                (r"refuses the user of CHECKOUT_AMQP_URL \(401, .*\); nothing was changed.*administrator", wrong, ()),
                (r"refuses the user of CHECKOUT_AMQP_URL \(401, .*\); nothing was changed.*administrator",
                 self.own("operator"), ()),
                ("no virtual host nowhere; nothing was changed", {}, ("--vhost", "nowhere")),
                ("/nothing/producer: No such file", {}, ("--passwords", "/nothing"))):
            settings = {"CHECKOUT_AMQP_URL": url} | self.api | settings
            said = self.refuses("rabbitmq", "--passwords", self.passwords, *options, **settings)
            self.assertRegex(said, words)
            self.assertNotIn("wrong", said)
        done = self.stack.ctl("roles", "rabbitmq", "--apply", check=False, CHECKOUT_BROKER_API_URL="")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("CHECKOUT_BROKER_API_URL is not set", done.stderr)
        self.assertEqual(self.users(), before)

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
        said = self.stack.ctl("doctor", check=False, **operator, **self.api).stdout
        self.assertNotRegex(said, r"(?m)^fail")
        self.assertIn("RabbitMQ", said)
        self.assertNotIn("management API answers", said)
        self.assertNotIn("refuses", self.stack.ctl("audit", **operator).stderr)
        # a consumer looks at the states of its items in Redis now and then
        self.stack.redis().set(f"checkout:gate:{passes}", "open")
        harness.wait_until(lambda: self.stack.redis().pttl(f"checkout:gate:{passes}") != -1, 20, "a foreign state to go")
        for daemon in self.stack.daemons:
            self.assertNotIn(b"Redis refuses", daemon.log_text(), daemon.name)

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
        broker("operator", lambda channel: channel.queue_declare("other"))

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
