#!/usr/bin/python3
"""An empty Debian, the package and the page's commands: a shop that sells, and comes back by itself.

    debian.py [--package FILE.deb] [--release bookworm] [--mirror URL] [--base DIRECTORY]

Makes the package in that release, unless there is one, and asks lintian about it. Makes a system by
debootstrap, boots it with its own systemd in a namespace (systemd-nspawn, no network but its loopback),
and does there what docs/operations.md says under "Installing on Debian", block by block, and what it
says of mails, webhooks and the console: all servers, the gateway, the shop's mail server and backend,
and buyers speak TLS, and each program has its own login. Then it sells, kills each program, the whole
machine, boots again, sells on, upgrades the package, and removes it. Needs root (it asks sudo) and
what `deploy/dev/packages --machine` installs.
"""

import argparse
import contextlib
import ctypes
import glob
import http.server
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback

import websockets

from empty_debian import (QUIET, ROOT, Failed, copy_sources, debootstrap, expect, in_system, release_of_host, wait_for)

sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness_client import FINAL, Listener, http_call  # noqa: E402
from harness_keys import ProviderKey  # noqa: E402
from harness_mail import Inbox  # noqa: E402

SERVERS = ("rabbitmq-server,postgresql,redis-server,haproxy,openssl,curl,systemd,systemd-sysv,dbus,ca-certificates,"
           "init-system-helpers")
UNITS = ("checkout-producer@1", "checkout-consumer@1", "checkout-notifier", "checkout-mailer", "checkout-webhooks",
         "checkout-console")
ITEMS = "sku,title,price,currency,stock\ndress,A dress of 1926,240000,usd,1\npass,VIP pass,15000,usd,50\n"
AUTHORITY = "etc/ssl/checkout/authority.pem"
SMTP_PORT, HOOKS_PORT, GATEWAY_PORT = 2525, 8443, 12111
WITHOUT_MANAGEMENT = "roles rabbitmq --vhost checkout | sh -e"
CTL = "set -a; . /etc/checkout/checkout.env; set +a; checkoutctl "
CLONE_NEWNET = 0x40000000


# -- the package --------------------------------------------------------------------------------------


def make_package(options, work):
    """Made by the release that it is for."""
    if options.release == release_of_host():
        done = subprocess.run([os.path.join(ROOT, "deploy/package")], check=True, text=True, stdout=subprocess.PIPE)
        return done.stdout.split()[-1]
    system = builder(options, work)
    copy_sources(system)
    in_system(system, "cd /root/checkout && deploy/package --to /root/package", stdout=subprocess.DEVNULL)
    made, = glob.glob(os.path.join(system, "root/package/checkout_*.deb"))
    return shutil.copy(made, work)


def builder(options, work):
    """A system to build in, which stays beside a base that stays."""
    system = f"{options.base}-build" if options.base else os.path.join(work, "build")
    debootstrap(options, system)
    return system


def lint(options, package, work):
    """By the release's own lintian."""
    words = "lintian --allow-root --fail-on error,warning "
    if options.release == release_of_host():
        done = subprocess.run([*words.split(), package], check=False)
    else:
        system = builder(options, work)
        shutil.copy(package, os.path.join(system, "root/to-lint.deb"))
        in_system(system, "apt-get install -y -q --no-install-recommends lintian", stdout=subprocess.DEVNULL)
        done = in_system(system, words + "/root/to-lint.deb", check=False)
    expect("lintian's exit code", done.returncode, 0)


def newer(package, work):
    """The same, of a later version."""
    tree = os.path.join(work, "newer")
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = os.path.join(tree, "DEBIAN/control")
    with open(control, encoding="utf-8") as source:
        text = re.sub(r"^Version: .*$", r"\g<0>+later", source.read(), flags=re.MULTILINE)
    with open(control, "w", encoding="utf-8") as sink:
        sink.write(text)
    made = os.path.join(work, "checkout-later.deb")
    subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, made], check=True, stdout=subprocess.DEVNULL)
    return made


# -- the machine --------------------------------------------------------------------------------------


def make_system(options, root):
    debootstrap(options, root, f"--include={SERVERS}")
    for old in glob.glob(os.path.join(root, "root/*.deb")):
        os.remove(old)
    shutil.copy(options.package, os.path.join(root, "root"))
    # What the package needs is fetched while there is a network; inside there is none.
    needs = subprocess.run(["dpkg-deb", "-f", options.package, "Depends"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    names = [re.split(r"[ |]", need.strip())[0] for need in needs.split(",")]
    with open(os.path.join(root, "usr/sbin/policy-rc.d"), "w", encoding="utf-8") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
    os.chmod(policy.name, 0o755)
    subprocess.run(["chroot", root, "apt-get", "install", "-y", "-q", "--no-install-recommends", *names],
                   check=True, stdout=subprocess.DEVNULL, env=QUIET)
    os.remove(policy.name)


class Machine:
    """The system, booted."""

    def __init__(self, root, console):
        self.root, self.console = root, console
        self.nspawn = self.leader = None

    def boot(self):
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "-b", "--register=no", "--keep-unit", "--private-network",
             "--console=passive"], stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console)
        self.leader = wait_for("the system boots", self.find_leader, 30)
        wait_for("the system is up", lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in (
            "running", "degraded"), 120)

    def find_leader(self):
        """Its process 1, as this host counts."""
        if self.nspawn.poll() is not None:
            with open(self.console.name, encoding="utf-8", errors="replace") as said:
                raise Failed(f"systemd-nspawn ended with {self.nspawn.returncode}: {said.read()[-2000:]}")
        with open(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children", encoding="ascii") as children:
            return next(iter(children.read().split()), None)

    def run(self, script, check=True):
        """Runs a script of bash there, as root; one that hangs ends with 124."""
        done = subprocess.run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--",
                               "timeout", "-k", "10", "900", "bash", "-c", script], check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"})
        if check and done.returncode != 0:
            raise Failed(f"exit code {done.returncode} of:\n{script}\n{done.stdout}")
        return done

    def write(self, path, text, mode="w"):
        with open(os.path.join(self.root, path), mode, encoding="utf-8") as sink:
            sink.write(text)

    def in_its_network(self, part):
        """Runs `part(self)` in a process of its own, whose sockets are there."""
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with open(f"/proc/{self.leader}/ns/net", "rb") as space:
                    if ctypes.CDLL(None).setns(space.fileno(), CLONE_NEWNET) != 0:
                        raise Failed("its network cannot be entered")
                os.environ["SSL_CERT_FILE"] = os.path.join(self.root, AUTHORITY)    # whom our clients trust
                part(self)
                code = 0
            except Failed as failure:
                print(f"FAILED: {failure}")
            except Exception:       # told here; the parent knows only the code
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            raise Failed("see above")

    def crash(self):
        """As if its power were cut: every process of it gets SIGKILL."""
        os.kill(int(self.leader), signal.SIGKILL)
        self.nspawn.wait(60)

    def stop(self):
        if self.nspawn is not None and self.nspawn.poll() is None:
            self.nspawn.terminate()
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        if self.leader is not None:     # an end in order may take longer, and outlive systemd-nspawn
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.leader), signal.SIGKILL)


# -- what the pages say -------------------------------------------------------------------------------


def section(page, title):
    with open(os.path.join(ROOT, "docs", page), encoding="utf-8") as source:
        return re.search(rf"^## {title}\n(.*?)^## ", source.read(), re.MULTILINE | re.DOTALL)[1]


def commands():
    """What a shell does, in order."""
    return "".join(re.findall(r"^```sh\n(.*?)^```", section("operations.md", "Installing on Debian"), re.MULTILINE | re.DOTALL))


def settings_of(title):
    """The lines of a program's file of settings."""
    return "".join(line.strip() + "\n" for line in section("operations.md", title).split("\n")
                   if re.match(r" {4,}CHECKOUT_[A-Z_]+=", line))


def with_changes(text, *changes):
    """What only this machine has otherwise: (pattern of a line, what is in its place)."""
    for pattern, instead in changes:
        text, count = re.subn(rf"^{pattern}$", lambda found, instead=instead: instead.replace("\\0", found[0]), text,
                              flags=re.MULTILINE)
        if count != 1:
            raise Failed(f"the page has {count} lines like {pattern}")
    return text


def install(machine):
    """What the page says, word by word; the gateway and its certificate, and the shop's name, differ."""
    script = with_changes(
        commands(),
        ("gateway_url=.*", f"gateway_url=https://127.0.0.1:{GATEWAY_PORT}"),
        ("gateway_key=.*", "gateway_key=sk_test_of_this_machine"),
        ("shop=.*", "shop=localhost"),
        ("certify haproxy .*", "\\0\ncertify outside root DNS:localhost,IP:127.0.0.1"),
        ("set_in checkout.env CHECKOUT_GATEWAY_URL .*", "\\0\nset_in checkout.env CHECKOUT_GATEWAY_CA_FILE $trusted"),
        ("checkoutctl doctor", "checkoutctl doctor || true"),
        ("checkoutctl items import items.csv", "checkoutctl items import /root/items.csv"))
    machine.write("root/items.csv", ITEMS)
    print(machine.run("set -e\ncd /root\n" + script).stdout)
    machine.write("etc/systemd/system/checkout-sandbox.service", (
        "[Service]\nStateDirectory=checkout-sandbox\nExecStart=/usr/bin/checkout-sandbox-gateway "
        f"--listen 127.0.0.1:{GATEWAY_PORT} --tls /etc/ssl/checkout/outside.both --ledger /var/lib/checkout-sandbox/ledger\n"
        "[Install]\nWantedBy=multi-user.target\n"))
    machine.run("cd /etc/ssl/checkout; (umask 077; cat outside.pem outside.key >outside.both); systemctl daemon-reload; "
                "systemctl enable -q --now checkout-sandbox")


def publish(machine, key, path):
    """A key set in its place, which keeps its owner and rights."""
    machine.write(path, json.dumps({"keys": [key.jwk()]}))


def install_more(machine):
    """Mails, webhooks and the console, as their pages say; the mail server, the backend, and who signs tokens, are ours."""
    publish(machine, ProviderKey("ES256", "old"), "etc/checkout/jwks.json")
    machine.write("etc/checkout/checkout.env", "CHECKOUT_JWKS_FILE=/etc/checkout/jwks.json\n", "a")
    with open(os.path.join(machine.root, "etc/checkout/producer-1.env"), "a", encoding="utf-8") as settings:
        settings.write("CHECKOUT_MAIL=true\nCHECKOUT_MAIL_TO_ANY=true\n")
    machine.write("etc/checkout/passwords/smtp", "the mail server's\n")
    machine.write("etc/checkout/mailer.env", with_changes(
        settings_of("Mails to buyers"),
        ("CHECKOUT_SMTP_URL=.*", f"CHECKOUT_SMTP_URL=smtp://shop@localhost:{SMTP_PORT}\nCHECKOUT_SMTP_CA_FILE=/{AUTHORITY}")), "a")
    machine.write("etc/checkout/webhooks.env", f"CHECKOUT_HOOKS_CA_FILE=/{AUTHORITY}\nCHECKOUT_HOOKS_ALLOW=127.0.0.1\n"
                                               "CHECKOUT_ADMIN_LISTEN=127.0.0.1:9501\n", "a")
    machine.write("etc/checkout/console.env", settings_of("The console"), "a")
    publish(machine, ProviderKey("ES256", "back-office"), "etc/checkout/console-jwks.json")
    machine.run("set -e; cd /etc/checkout; chown root:checkout passwords/smtp *jwks.json; chmod 0640 passwords/smtp *jwks.json\n"
                "mkdir -m 2750 /etc/checkout/webhooks && chgrp checkout /etc/checkout/webhooks\n"
                "systemctl restart checkout-producer@1 checkout-notifier\n"
                "systemctl enable --now checkout-mailer checkout-webhooks checkout-console\n"
                f"{CTL} webhooks add erp https://localhost:{HOOKS_PORT}/hooks")
    if f"`checkoutctl {WITHOUT_MANAGEMENT}`" not in section("operations.md", "Installing on Debian"):
        raise Failed("the page has another way to make RabbitMQ's logins without its management API")
    print(machine.run(f"set -eo pipefail; {CTL}{WITHOUT_MANAGEMENT}").stdout)


# -- who is outside -----------------------------------------------------------------------------------


class Backend:
    """The shop's own, which takes webhooks."""

    def __init__(self, certificate, key):
        self.bodies = []
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                backend.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", HOOKS_PORT), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def told(self, order):
        return any(body["type"] == "order.confirmed" and body["data"]["order_id"] == order for body in self.bodies)


class Shop:
    """As its buyers and operators see it."""

    url = "https://localhost"

    def __init__(self, machine):
        self.machine = machine
        self.authority = os.path.join(machine.root, AUTHORITY)
        certificate = [os.path.join(machine.root, "etc/ssl/checkout/outside." + end) for end in ("pem", "key")]
        self.backend = Backend(*certificate)
        self.inbox = Inbox(certificate=certificate, login=("shop", "the mail server's"), demands_tls=True, port=SMTP_PORT)

    def ctl(self, *words, check=True):
        return self.machine.run(CTL + " ".join(words), check=check).stdout

    def call(self, method, path, token, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return http_call(self.url, method, path, {"Authorization": f"Bearer {token}", "Prefer": "wait=10", **headers}, body,
                             authority=self.authority)
        except OSError:
            return None

    def buy(self, sku, user, token=None):
        """The end of an order, and its id: by the websocket as by the API."""
        token = token or self.ctl("token", "--user", user).strip()
        listener = wait_for("the websocket opens", lambda: self.listen(token), 30)
        order = {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa", "receipt_email": f"{user}@buyers.example"}

        def taken():
            answer = self.call("POST", "/v1/orders", token, order, Idempotency_Key=f"key-{user}")
            return answer if answer is not None and answer.status in (200, 202) else None
        identity = wait_for(f"the API takes {user}'s order", taken, 60).json["id"]

        def end():
            answer = self.call("GET", f"/v1/orders/{identity}", token)
            state = answer.json["status"] if answer is not None and answer.status == 200 else None
            return state if state in FINAL else None
        state = wait_for(f"{user}'s order ends", end, 60)
        wait_for("the websocket tells it", lambda: state in listener.statuses(identity), 20)
        listener.close()
        return state, identity

    def listen(self, token):
        try:
            return Listener(self.url.replace("https", "wss") + "/v1/events", {"Authorization": "Bearer " + token})
        except (OSError, websockets.WebSocketException):
            return None

    def sell(self, what, user, token=None):
        """A pass, whose buyer gets a mail, and of which the backend hears."""
        state, order = self.buy("pass", user, token)
        expect(what, state, "confirmed")
        wait_for("its mail comes", lambda: self.inbox.of(f"{user}@buyers.example"))
        wait_for("its webhook comes", lambda: self.backend.told(order))

    def main_pid(self, unit):
        return self.machine.run(f"systemctl show -p MainPID --value {unit}").stdout.strip()

    def ready(self):
        return all(self.machine.run(f"systemctl is-active -q {unit}", check=False).returncode == 0 for unit in UNITS) \
            and self.machine.run(CTL + "doctor", check=False).returncode == 0


# -- what has to hold ---------------------------------------------------------------------------------


def rights(machine):
    """Each program runs as the service's user, and cannot read what only root may; no server speaks without TLS."""
    for unit in UNITS:
        owner = machine.run(f"ps -o user= -p $(systemctl show -p MainPID --value {unit}) || "
                            f"stat -c %U /proc/$(systemctl show -p MainPID --value {unit})").stdout.split()[-1]
        expect(f"the user of {unit}", owner, "checkout")
    for secret in ("order_secret", "gateway_key", "passwords/operator", "passwords/owner", "passwords/admin"):
        machine.run(f"test -s /etc/checkout/{secret}")
        seen = machine.run(f"runuser -u checkout -- cat /etc/checkout/{secret}", check=False)
        expect(f"the service's user reads {secret}", seen.returncode == 0, False)
    for unit in UNITS:
        own = re.sub(r"checkout-|@1", "", unit)
        seen = machine.run(f"nsenter -t $(systemctl show -p MainPID --value {unit}) -m ls /etc/checkout/passwords").stdout.split()
        expect(f"the passwords that {unit} sees", seen, [own, "smtp"] if own == "mailer" else [own])
    expect("processes of HAProxy that are root's, beside its master",
           machine.run("ps -o user= --ppid $(systemctl show -p MainPID --value haproxy)").stdout.split(), ["haproxy"])
    as_producer = ("PGPASSWORD=$(cat /etc/checkout/passwords/producer) psql "
                   "'postgresql://shop_producer@127.0.0.1/checkout?sslmode={}' -c 'select 1'")
    machine.run(as_producer.format("require"))
    expect("PostgreSQL without TLS", machine.run(as_producer.format("disable"), check=False).returncode == 0, False)
    sessions = machine.run("runuser -u postgres -- psql -qAt -c \"select usename, ssl, count(*) from pg_stat_ssl join "
                           "pg_stat_activity using (pid) where datname = 'checkout' group by 1, 2 order by 1\"").stdout
    print(sessions)
    expect("sessions without TLS, or of others than the programs",
           [line for line in sessions.split("\n") if line and not re.match(r"shop_\w+\|t\|", line)], [])
    users = machine.run("rabbitmqctl -s list_users").stdout.strip().split("\n")
    expect("RabbitMQ's users", sorted(line.split()[0] for line in users),
           ["admin", "checkout_consumer", "checkout_operator", "checkout_producer"])
    for port, server in ((5672, "RabbitMQ"), (15672, "its management API")):
        expect(f"{server} listens without TLS", machine.run(f"exec 3<>/dev/tcp/127.0.0.1/{port}", check=False).returncode == 0,
               False)
    said = machine.run("redis-cli --tls --cacert /etc/ssl/checkout/authority.pem ping", check=False).stdout
    expect("Redis takes somebody without a password", "PONG" in said, False)


def rotate(machine, shop):
    """Keys are replaced where they lie; the programs read them again at a reload, and stay."""
    before = {unit: shop.main_pid(unit) for unit in UNITS}
    key = ProviderKey("ES256", "new")
    publish(machine, key, "etc/checkout/jwks.json")
    expect("the key's owner and rights", machine.run("stat -c '%U:%G %a' /etc/checkout/jwks.json").stdout.strip(),
           "root:checkout 640")
    for unit in UNITS:
        machine.run(f"systemctl reload {unit}")
    shop.sell("a pass is sold under a new key", "new-key", key.token("new-key"))
    expect("programs that a reload ended", [unit for unit in UNITS if shop.main_pid(unit) != before[unit]], [])


def sell_and_kill(machine):
    shop = Shop(machine)
    wait_for("the shop is ready", shop.ready, 90)
    rights(machine)
    expect("the dress is sold", shop.buy("dress", "ann")[0], "confirmed")
    expect("and not again", shop.buy("dress", "bob")[0], "rejected")
    shop.sell("a pass is sold", "carl")
    rotate(machine, shop)
    for unit in UNITS:
        before = shop.main_pid(unit)
        machine.run(f"kill -9 {before}")
        wait_for(f"{unit} is back", lambda b=before, u=unit: shop.main_pid(u) not in (b, "0"), 30)
        shop.sell(f"a pass is sold after {unit} was killed", "after-" + unit.split("@")[0].removeprefix("checkout-"))
    frozen = shop.main_pid("checkout-consumer@1")
    machine.run(f"kill -STOP {frozen}")
    wait_for("systemd's watchdog ends a consumer that hangs", lambda: shop.main_pid("checkout-consumer@1") not in (frozen, "0"), 90)
    shop.sell("a pass is sold after the consumer hung", "after-hanging")


def sell_on(machine):
    shop = Shop(machine)
    wait_for("the shop is ready", shop.ready, 180)
    shop.sell("a pass is sold after the restart", "late")
    machine.run("sed s/9201/9202/ /etc/checkout/consumer-1.env >/etc/checkout/consumer-2.env; "
                "systemctl enable -q --now checkout-consumer@2")
    wait_for("two consumers share the work", lambda: re.search(r"^ok +consumers +2 alive", shop.ctl("doctor", check=False), re.MULTILINE), 30)
    machine.run("sed s/9101/9102/ /etc/checkout/producer-1.env >/etc/checkout/producer-2.env; "
                "systemctl enable -q --now checkout-producer@2; systemctl stop checkout-producer@1")
    shop.sell("a pass is sold by the second producer alone", "by-the-second")
    machine.run("systemctl start checkout-producer@1; systemctl disable -q --now checkout-producer@2")
    print(shop.ctl("audit"))


def upgrade(machine):
    """An upgrade stops nothing and changes no settings; a restart in order goes on with the new one."""
    shop = Shop(machine)
    before = {unit: shop.main_pid(unit) for unit in UNITS}
    settings = machine.run("cat /etc/checkout/checkout.env").stdout
    machine.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends /root/checkout-later.deb")
    expect("the version", "+later" in machine.run("dpkg-query -W -f '${Version}' checkout").stdout, True)
    expect("programs that the upgrade ended", [unit for unit in UNITS if shop.main_pid(unit) != before[unit]], [])
    expect("the settings are as before", machine.run("cat /etc/checkout/checkout.env").stdout == settings, True)
    machine.run("systemctl stop checkout.target")
    for unit in UNITS:
        wait_for(f"{unit} ends", lambda u=unit: machine.run(
            f"systemctl show -p ActiveState --value {u}").stdout.strip() in ("inactive", "failed"), 70)
        expect(f"{unit} ended in order", machine.run(f"systemctl show -p Result --value {unit}").stdout.strip(), "success")
    machine.run("systemctl start checkout.target")
    wait_for("the target starts all of it", shop.ready, 90)
    shop.sell("a pass is sold after the upgrade", "later")


def remove(machine):
    machine.run("DEBIAN_FRONTEND=noninteractive apt-get remove -y -q checkout")
    left = machine.run("systemctl list-units --no-legend 'checkout-*@*' 'checkout-notifier*' 'checkout-mailer*' "
                       "'checkout-webhooks*' 'checkout-console*'", check=False).stdout
    expect("units after the removal", [line for line in left.splitlines() if " active " in line], [])
    machine.run("test -s /etc/checkout/order_secret && test ! -e /usr/bin/checkoutctl")
    machine.run("DEBIAN_FRONTEND=noninteractive apt-get purge -y -q checkout && test -s /etc/checkout/order_secret")
    left = machine.run("find /etc/systemd/system -name 'checkout*' ! -name checkout-sandbox.service; "
                       "find /usr/bin /usr/lib/systemd /usr/share/checkout -name '*checkout*' 2>/dev/null", check=False).stdout
    expect("files after the purge", left.split(), [])


def live(machine):
    machine.in_its_network(sell_and_kill)
    machine.crash()
    print("every process was killed; the machine boots again", flush=True)
    machine.boot()
    machine.in_its_network(sell_on)
    machine.in_its_network(upgrade)
    remove(machine)


def diagnose(machine):
    if machine.nspawn is not None and machine.nspawn.poll() is None:
        print(machine.run(CTL + "doctor", check=False).stdout)
        print(machine.run("systemctl --no-pager --failed; journalctl -b --no-pager -u 'checkout-*' | tail -n 60",
                          check=False).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", metavar="FILE.deb", help="default: what deploy/package makes in that release")
    parser.add_argument("--release", default="bookworm")
    parser.add_argument("--mirror", metavar="URL", help="default: debootstrap's own")
    parser.add_argument("--base", metavar="DIRECTORY", help="where the empty system is made, once, and stays")
    options = parser.parse_args()
    if os.geteuid() != 0:
        made = [] if options.package or options.release != release_of_host() else ["--package", make_package(options, None)]
        os.execvp("sudo", ["sudo", sys.executable, os.path.abspath(__file__), *sys.argv[1:], *made])
    work = tempfile.mkdtemp(prefix="checkout-debian.")
    root = os.path.join(work, "root")
    base = options.base or root
    with open(os.path.join(work, "console"), "w", encoding="utf-8") as console:
        machine = Machine(root, console)
        try:
            options.package = options.package or make_package(options, work)
            lint(options, options.package, work)
            make_system(options, base)
            if base != root:
                subprocess.run(["cp", "-a", base, root], check=True)
            shutil.copy(newer(options.package, work), os.path.join(root, "root"))
            machine.boot()
            install(machine)
            install_more(machine)
            live(machine)
        except Failed as failure:
            print(f"FAILED: {failure}")
            diagnose(machine)
            return 1
        finally:
            machine.stop()
            shutil.rmtree(work, ignore_errors=True)
    print("installed, sold, killed, restarted, upgraded, removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
