#!/usr/bin/python3
"""PgBouncer between the programs and PostgreSQL: a session for each client works, shared sessions are refused at start."""

import os
import shutil
import subprocess
import tempfile
import urllib.parse

import psycopg2

import harness
from harness_daemon import program_environment
from harness_database import as_login
from harness_services import free_port
from harness_wait import wait_until

PROGRAMS = ("consumer", "producer", "notifier", "operator")


class PgBouncer:
    """In front of the server of `url`; its files lie where its user may enter."""

    def __init__(self, url, mode):
        self._server, self.port = urllib.parse.urlsplit(url), free_port()
        self._directory = tempfile.mkdtemp(prefix="checkout-pooler.", dir="/var/tmp")
        users = {urllib.parse.urlsplit(as_login(url, program)) for program in PROGRAMS}
        self._write("users", "".join(f'"{user.username}" "{user.password}"\n' for user in users))
        self._write("ini", f"""[databases]
* = host={self._server.hostname} port={self._server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self._directory}/users
pool_mode = {mode}
default_pool_size = 20
server_reset_query = DISCARD ALL
ignore_startup_parameters = options
""")
        user = ()
        if os.geteuid() == 0:
            for name in ("", "users", "ini"):
                shutil.chown(os.path.join(self._directory, name), "postgres", "postgres")
            user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--")
        self._process = subprocess.Popen([*user, "/usr/sbin/pgbouncer", os.path.join(self._directory, "ini")], cwd="/",
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _write(self, name, text):
        with open(os.path.join(self._directory, name), "w", encoding="ascii") as sink:
            sink.write(text)

    def url(self, program):
        login = urllib.parse.urlsplit(as_login(self._server.geturl(), program))
        return login._replace(netloc=f"{login.username}:{login.password}@127.0.0.1:{self.port}").geturl()

    def close(self):
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._directory)


class Pooler(harness.TestCase):
    daemons = ("sandbox",)

    def pooler(self, mode):
        pooler = PgBouncer(self.stack.direct["CHECKOUT_DATABASE_URL"], mode)
        self.addCleanup(pooler.close)
        wait_until(lambda: self.answers(pooler), 20, "PgBouncer to answer")
        return pooler

    def answers(self, pooler):
        try:
            return harness.query_once(pooler.url("operator"), "select 1") == [(1,)]
        except psycopg2.OperationalError:
            return False

    def test_a_session_for_each_client_works_and_has_our_settings(self):
        database = self.stack.one("select current_database()")
        for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'SQL, DMY'"):   # what a login's options would undo
            self.stack.sql(f'alter database "{database}" set {setting}')
            self.addCleanup(self.stack.sql, f'alter database "{database}" reset {setting.split()[0]}')
        pooler = self.pooler("session")
        daemons = [self.stack.start(name, CHECKOUT_DATABASE_URL=pooler.url(name))
                   for name in ("consumer", "producer", "notifier")]
        heard = self.stack.listen("ann")
        order = self.stack.order("ann", self.stack.item(stock=1)).wait("confirmed")
        self.assertEqual(heard.wait_final(order.id)["data"]["status"], "confirmed")
        shown = [self.stack.ctl("orders", "show", order.id, "--json", CHECKOUT_DATABASE_URL=url).stdout
                 for url in (as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator"), pooler.url("operator"))]
        self.assertEqual(*shown)
        self.assertIn("with a session for each client",
                      self.stack.ctl("doctor", check=False, CHECKOUT_DATABASE_URL=pooler.url("operator")).stdout)
        heard.close()
        for daemon in daemons:
            daemon.stop()

    def test_shared_sessions_are_refused_at_start_with_the_reason(self):
        pooler = self.pooler("transaction")
        for name in ("consumer", "producer", "notifier"):
            with self.subTest(name=name):
                settings = {**self.stack.settings, "CHECKOUT_LISTEN": f"127.0.0.1:{free_port()}",
                            "CHECKOUT_DATABASE_URL": pooler.url(name)}
                done = subprocess.run([harness.program(f"checkout-{name}")], env=program_environment(settings), text=True,
                                      timeout=30, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertRegex(done.stderr, r"\Acheckout-\w+: CHECKOUT_DATABASE_URL: a connection pooler shares "
                                              r"sessions between clients [^\n]*\n\s*\Z")
        said = self.stack.ctl("doctor", check=False, CHECKOUT_DATABASE_URL=pooler.url("operator"))
        self.assertEqual(said.returncode, 1)
        self.assertIn("shares sessions between clients", said.stdout)


if __name__ == "__main__":
    harness.main()
