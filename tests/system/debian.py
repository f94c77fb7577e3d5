#!/usr/bin/python3
"""An empty Debian, the package and the page's commands: a shop that sells, and comes back by itself.

    debian.py [--package FILE.deb] [--release bookworm] [--mirror URL] [--base DIRECTORY]

Makes a system by debootstrap, boots it with its own systemd in a namespace (systemd-nspawn, no network
but its loopback), and does there what docs/operations.md says under "Installing on Debian", block by
block; then sells, kills each program, the whole machine, boots again, sells on, and removes the
package. Needs root (it asks sudo), debootstrap and systemd-container. Without --package it makes one.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from empty_debian import Failed, debootstrap, expect, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVERS = "rabbitmq-server,postgresql,redis-server,openssl,curl,systemd,systemd-sysv,dbus,ca-certificates"
UNITS = ("checkout-producer@1", "checkout-consumer@1", "checkout-notifier")
ITEMS = "sku,title,price,currency,stock\ndress,A dress of 1926,240000,usd,1\npass,VIP pass,15000,usd,50\n"


CTL = "set -a; . /etc/checkout/checkout.env; set +a; checkoutctl "


def page_blocks():
    """The commands of the page, in order."""
    with open(os.path.join(ROOT, "docs/operations.md"), encoding="utf-8") as source:
        section = re.search(r"^## Installing on Debian\n(.*?)^## ", source.read(), re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def make_system(options, root):
    debootstrap(options, root, f"--include={SERVERS}")
    target = os.path.join(root, "root")
    shutil.copy(options.package, target)
    # What the package needs is fetched while there is a network; inside there is none.
    needs = subprocess.run(["dpkg-deb", "-f", options.package, "Depends"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    names = [re.split(r"[ |]", need.strip())[0] for need in needs.split(",")]
    with open(os.path.join(root, "usr/sbin/policy-rc.d"), "w", encoding="utf-8") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
    os.chmod(policy.name, 0o755)
    subprocess.run(["chroot", root, "apt-get", "install", "-y", "-q", "--no-install-recommends", *names],
                   check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    os.remove(policy.name)


class Machine:
    """The system, booted."""

    def __init__(self, root, console):
        self.root, self.console = root, console
        self.nspawn = None

    def boot(self):
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "-b", "--register=no", "--keep-unit", "--private-network",
             "--console=passive"], stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console)
        wait_for("the system is up", lambda: self.leader() and self.run(
            "systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"), 120)

    def leader(self):
        """Its process 1, as this host counts."""
        if self.nspawn.poll() is not None:
            raise Failed(f"systemd-nspawn ended with {self.nspawn.returncode}; see {self.console.name}")
        try:
            with open(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children", encoding="ascii") as children:
                return next(iter(children.read().split()), None)
        except FileNotFoundError:
            return None

    def run(self, script, check=True):
        """Runs a script of bash there, as root."""
        done = subprocess.run(["nsenter", "-t", self.leader(), "-m", "-u", "-i", "-n", "-p", "-C", "--", "bash", "-c",
                               script], check=False, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd="/", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                                                                      "HOME": "/root", "LC_ALL": "C.UTF-8"})
        if check and done.returncode != 0:
            raise Failed(f"exit code {done.returncode} of:\n{script}\n{done.stdout}")
        return done

    def crash(self):
        """As if its power were cut: every process of it gets SIGKILL."""
        os.kill(int(self.leader()), signal.SIGKILL)
        self.nspawn.wait(60)

    def stop(self):
        if self.nspawn is not None and self.nspawn.poll() is None:
            self.nspawn.terminate()
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()


class Shop:
    def __init__(self, machine):
        self.machine = machine

    def ctl(self, *words, check=True):
        return self.machine.run(CTL + " ".join(words), check=check).stdout

    def api(self, method, path, user, body=None, key=None):
        """(status, body) of the API, as this user."""
        token = self.ctl("token", "--user", user).strip()
        data = f"-d '{json.dumps(body)}' -H 'Content-Type: application/json' -H 'Idempotency-Key: {key}'" if body else ""
        said = self.machine.run(f"curl -sS -m 20 -w '\\n%{{http_code}}' -X {method} {data} -H 'Prefer: wait=10' "
                                f"-H 'Authorization: Bearer {token}' http://127.0.0.1:8080{path}", check=False).stdout
        answer, _, status = said.strip().rpartition("\n")
        return status, answer

    def buy(self, sku, user):
        """The end of an order."""
        order = {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"}
        status, answer = wait_for(f"the door takes {user}'s order", lambda: self.taken(order, user), 60)
        identity = json.loads(answer)["id"]

        def end():
            status, answer = self.api("GET", f"/v1/orders/{identity}", user)
            state = json.loads(answer).get("status") if status == "200" else None
            return state if state not in (None, "queued", "waiting", "reserved") else None
        return wait_for(f"{user}'s order ends", end, 60)

    def taken(self, order, user):
        status, answer = self.api("POST", "/v1/orders", user, order, key=f"key-{user}")
        return (status, answer) if status in ("200", "202") else None

    def main_pid(self, unit):
        return self.machine.run(f"systemctl show -p MainPID --value {unit}").stdout.strip()

    def ready(self):
        return all(self.machine.run(f"systemctl is-active -q {unit}", check=False).returncode == 0 for unit in UNITS) \
            and self.machine.run(CTL + "doctor", check=False).returncode == 0


def install(machine):
    """What the page says, word by word; only who the gateway is differs."""
    script = "set -e\ncd /root\n"
    for block in page_blocks():
        block = block.replace("checkoutctl items import items.csv", "checkoutctl items import /root/items.csv")
        block = re.sub(r"^checkoutctl doctor$", "checkoutctl doctor || true", block, flags=re.MULTILINE)
        block = re.sub(r"^gateway_url=.*$", "gateway_url=http://127.0.0.1:12111", block, flags=re.MULTILINE)
        block = re.sub(r"^gateway_key=.*$", "gateway_key=sk_test_of_this_machine", block, flags=re.MULTILINE)
        script += block
    with open(os.path.join(machine.root, "root/items.csv"), "w", encoding="utf-8") as items:
        items.write(ITEMS)
    gateway = ("[Service]\nStateDirectory=checkout-sandbox\nExecStart=/usr/bin/checkout-sandbox-gateway "
               "--listen 127.0.0.1:12111 --ledger /var/lib/checkout-sandbox/ledger\n[Install]\nWantedBy=multi-user.target\n")
    with open(os.path.join(machine.root, "etc/systemd/system/checkout-sandbox.service"), "w", encoding="utf-8") as unit:
        unit.write(gateway)
    print(machine.run(script).stdout)
    machine.run("systemctl daemon-reload; systemctl enable -q --now checkout-sandbox")


def rights(machine):
    """Each program runs as the service's user, and cannot read what only root may."""
    for unit in UNITS:
        owner = machine.run(f"ps -o user= -p $(systemctl show -p MainPID --value {unit}) || "
                            f"stat -c %U /proc/$(systemctl show -p MainPID --value {unit})").stdout.split()[-1]
        if owner != "checkout":
            raise Failed(f"{unit} runs as {owner}")
    seen = machine.run("runuser -u checkout -- cat /etc/checkout/order_secret /etc/checkout/gateway_key", check=False)
    if seen.returncode == 0:
        raise Failed("the service's user reads secrets that only root may read")


def live(machine):
    shop = Shop(machine)
    wait_for("the shop is ready", shop.ready, 90)
    rights(machine)
    expect("the dress is sold", shop.buy("dress", "ann"), "confirmed")
    expect("and not again", shop.buy("dress", "bob"), "rejected")
    for unit in UNITS:
        before = shop.main_pid(unit)
        machine.run(f"kill -9 {before}")
        wait_for(f"{unit} is back", lambda b=before, u=unit: shop.main_pid(u) not in (b, "0"), 30)
        expect(f"a pass is sold after {unit} was killed", shop.buy("pass", f"after-{unit.split('@')[0]}"), "confirmed")
    machine.crash()
    print("every process was killed; the machine boots again", flush=True)
    machine.boot()
    wait_for("the shop is ready", shop.ready, 120)
    expect("a pass is sold after the restart", shop.buy("pass", "late"), "confirmed")
    print(shop.ctl("audit"))
    machine.run("systemctl stop checkout.target")
    for unit in UNITS:
        expect(f"{unit} ended in order", machine.run(f"systemctl show -p Result --value {unit}").stdout.strip(), "success")
    machine.run("systemctl start checkout.target")
    wait_for("the target starts all of it", shop.ready, 90)
    machine.run("DEBIAN_FRONTEND=noninteractive apt-get remove -y -q checkout")
    left = machine.run("systemctl list-units --no-legend 'checkout-*@*' checkout-notifier.service", check=False).stdout
    expect("units after the removal", [line for line in left.splitlines() if " active " in line], [])
    machine.run("test -s /etc/checkout/order_secret && test ! -e /usr/bin/checkoutctl")
    machine.run("DEBIAN_FRONTEND=noninteractive apt-get purge -y -q checkout && test -s /etc/checkout/order_secret")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", metavar="FILE.deb", help="default: what deploy/package makes")
    parser.add_argument("--release", default="bookworm")
    parser.add_argument("--mirror", metavar="URL", help="default: debootstrap's own")
    parser.add_argument("--base", metavar="DIRECTORY", help="where the empty system is made, once, and stays")
    options = parser.parse_args()
    if options.package is None:
        options.package = subprocess.run([os.path.join(ROOT, "deploy/package")], check=True, text=True,
                                         stdout=subprocess.PIPE).stdout.split()[-1]
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--package", options.package])
    work = tempfile.mkdtemp(prefix="checkout-debian.")
    root = os.path.join(work, "root")
    base = options.base or root
    with open(os.path.join(work, "console"), "w", encoding="utf-8") as console:
        machine = Machine(root, console)
        try:
            make_system(options, base)
            if base != root:
                subprocess.run(["cp", "-a", base, root], check=True)
            machine.boot()
            install(machine)
            live(machine)
        except Failed as failure:
            print(f"FAILED: {failure}")
            if machine.nspawn is not None and machine.nspawn.poll() is None:
                print(Shop(machine).ctl("doctor", check=False))
                print(machine.run("journalctl -b --no-pager -u 'checkout-*' | tail -n 60", check=False).stdout)
            return 1
        finally:
            machine.stop()
            shutil.rmtree(work, ignore_errors=True)
    print("installed, sold, killed, restarted, removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
