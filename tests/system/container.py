#!/usr/bin/python3
"""The images of deploy/container, and the services of compose.yaml: a shop that sells.

    container.py [--release bookworm] [--mirror URL] [--base DIRECTORY]

Makes an empty Debian by debootstrap, builds both images on it with buildah, and runs what
compose.yaml says of each service as it says it: its command, its settings, as a user who is in no
file, without capabilities, on a file system that is read-only but for the volumes. Only the
servers are ours, from Debian's packages, and all services share one network, which has nothing but
a loopback. Then buys, kills each program, buys again. Needs root (it asks sudo).
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import yaml

from empty_debian import Failed, debootstrap, expect, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONTAINER = os.path.join(ROOT, "deploy", "container")
SERVICES = os.path.join(ROOT, "deploy", "dev", "services")
UID = 1234567      # nobody's: in no file of the image
DAEMONS = ("producer", "consumer", "notifier", "mailer")
SERVERS = ("CHECKOUT_AMQP_URL", "CHECKOUT_DATABASE_URL", "CHECKOUT_REDIS_URL")    # settings that lead to ours


# -- the images ---------------------------------------------------------------------------------------


class Images:
    """A store of images of its own."""

    def __init__(self, directory):
        self.command = ["buildah", "--root", f"{directory}/store", "--runroot", f"{directory}/run",
                        "--storage-driver", "vfs"]

    def run(self, *words):
        done = subprocess.run([*self.command, *words], check=False, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Failed(f"buildah {words[0]}: {done.stderr[-3000:]}{done.stdout[-3000:]}")
        return done.stdout.strip()

    def base(self, options, directory):
        system = options.base or os.path.join(directory, "base")
        debootstrap(options, system)
        container = self.run("from", "scratch")
        self.run("add", "-q", container, system, "/")
        self.run("commit", "-q", "--rm", container, "localhost/debian")

    def build(self, target):
        """Where its files are."""
        self.run("bud", "--isolation", "chroot", "--build-arg", "BASE=localhost/debian", "--target", target,
                 "-f", os.path.join(CONTAINER, "Dockerfile"), "-t", target, ROOT)
        return self.run("mount", self.run("from", f"localhost/{target}"))


# -- what compose does --------------------------------------------------------------------------------


class Service:
    """One of compose.yaml's, on this host's network, where its name leads to the loopback."""

    def __init__(self, shop, name, text):
        self.shop, self.name, self.text = shop, name, text
        self.root = shop.roots["storefront" if text["image"] == "checkout-storefront" else "checkout"]
        self.entry = ["/usr/bin/python3", "/usr/share/storefront/serve"] if text["image"] == "checkout-storefront" else []
        self.settings = {key: str(value) for key, value in text.get("environment", {}).items()}
        for setting in SERVERS:
            if setting in self.settings:
                self.settings[setting] = shop.servers[setting]
        if "CHECKOUT_ADMIN_LISTEN" in self.settings:    # each has an address of its own there, and none here
            self.settings["CHECKOUT_ADMIN_LISTEN"] = f"127.0.0.1:{9000 + len(shop.services)}"
        self.process = None

    def mounts(self):
        """Commands that lay its volumes into its file system."""
        yield f"mount --bind {self.root} {self.root}"
        yield f"cd {self.root}"     # through the mount
        yield f"mount --bind {self.shop.hosts} etc/hosts"
        yield "mount --rbind /dev dev"
        yield "mount -t proc proc proc"
        for volume in self.text.get("volumes", []):
            source, target, *how = volume.split(":")
            inside = f"{self.root}{target}"
            path = os.path.join(CONTAINER, source) if source.startswith(".") else self.shop.volume(source)
            yield f"mount --bind {os.path.realpath(path)} {inside}"
            if how == ["ro"]:
                yield f"mount -o remount,bind,ro {inside}"
        if not self.text["read_only"]:
            raise Failed(f"{self.name}: its file system can be written")
        yield f"mount -o remount,bind,ro {self.root}"

    def script(self, command):
        words = shlex.join(f"{key}={value}" for key, value in self.settings.items())
        run = shlex.join(word.replace("$$", "$") for word in [*self.entry, *command])
        return "set -e; " + "; ".join(self.mounts()) + (
            f"; exec chroot --userspec={UID}:{UID} --groups= {self.root} /usr/bin/env -i PATH=/usr/bin:/bin {words} "
            f"/usr/bin/setpriv --no-new-privs {run}")

    def start(self, command=None):
        log = open(os.path.join(self.shop.directory, f"{self.name}.log"), "ab")
        self.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                         self.script(command or self.text["command"])],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def run(self, command=None):
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                               self.script(command or self.text["command"])], check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def healthy(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}")
        return self.run(self.text["healthcheck"]["test"][1:])[0] == 0

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60) if self.process is not None else None


class Shop:
    def __init__(self, directory, roots, servers):
        self.directory, self.roots, self.servers = directory, roots, servers
        with open(os.path.join(CONTAINER, "compose.yaml"), encoding="utf-8") as source:
            texts = yaml.safe_load(source)["services"]
        self.hosts = os.path.join(directory, "hosts")
        with open(self.hosts, "w", encoding="utf-8") as hosts:
            hosts.write("127.0.0.1 localhost " + " ".join(texts) + "\n")
        for root in roots.values():
            for place, make in (("etc/hosts", lambda path: open(path, "a", encoding="utf-8").close()),
                                ("items.csv", lambda path: open(path, "a", encoding="utf-8").close()),
                                ("run/checkout", lambda path: os.makedirs(path, exist_ok=True))):
                make(os.path.join(root, place))
        self.services = {}
        for name, text in texts.items():
            if text["image"].startswith("checkout"):
                self.services[name] = Service(self, name, text)

    def volume(self, name):
        path = os.path.join(self.directory, "volumes", name)
        if not os.path.isdir(path):
            os.makedirs(path)
            os.chown(path, UID, UID)    # Docker gives a new volume the owner that the image has there
        return path

    def once(self, name):
        code, said = self.services[name].run()
        print(f"{name}: {said.strip()}")
        if code != 0:
            raise Failed(f"{name} ended with {code}")

    def open(self):
        self.once("secrets")
        self.services["gateway"].start()
        self.once("setup")
        self.services["storefront"].start()
        for name in DAEMONS:
            self.services[name].start()
        for name in DAEMONS:
            wait_for(f"{name} is healthy", self.services[name].healthy)

    def close(self):
        for service in self.services.values():
            service.stop()


def ask(url, body=None, **headers):
    """(status, body) of the answer."""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json",
                                              **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def buy(sku, key):
    """The end of an order of somebody who has just come to the shop, and their mails' page."""
    status, text, headers = wait_for("the storefront answers", lambda: reached("http://127.0.0.1:8000/session"))
    session = json.loads(text)
    status, text, _ = ask("http://127.0.0.1:8080/v1/orders",
                          {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"}, Prefer="wait=20",
                          Authorization="Bearer " + session["token"], Idempotency_Key=key)
    if status not in (200, 202):
        raise Failed(f"{status} {text}")
    url = f"http://127.0.0.1:8080/v1/orders/{json.loads(text)['id']}"
    ended = wait_for("the order ends", lambda: end_of(url, session["token"]))
    return ended, headers["Set-Cookie"].partition(";")[0]


def reached(url):
    try:
        return ask(url)
    except OSError:
        return None


def end_of(url, token):
    status, text, _ = ask(url, Authorization="Bearer " + token)
    state = json.loads(text)["status"] if status == 200 else None
    return state if state not in (None, "queued", "waiting", "reserved") else None


def live(shop):
    with open(os.path.join(ROOT, "deploy/web/items.csv"), encoding="utf-8") as items:
        many = max((line.split(",") for line in items.read().splitlines()[1:]), key=lambda row: int(row[4]))[0]
    ended, cookie = buy(many, "first")
    expect("an item is sold", ended, "confirmed")
    wait_for("its mail arrives", lambda: "maison" in ask("http://127.0.0.1:8000/inbox", Cookie=cookie)[1].lower())
    for name in DAEMONS:
        service = shop.services[name]
        service.stop(signal.SIGKILL)
        service.start()
        wait_for(f"{name} is healthy after its kill", service.healthy)
        expect(f"sold after {name} was killed", buy(many, f"after-{name}")[0], "confirmed")
    code, said = shop.services["setup"].run(["checkoutctl", "doctor"])
    print(said)
    expect("the doctor's exit code", code, 0)
    code, said = shop.services["setup"].run(["sh", "-c", "touch /usr/x /run/checkout/x"])
    expect("nothing can be written", (code, said.count("Read-only file system")), (1, 2))
    for name in DAEMONS:
        expect(f"{name} ended in order", shop.services[name].stop(), 0)


def sell(directory, roots):
    """In a network of its own."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    servers = os.path.join(directory, "servers")
    shop = None
    try:
        subprocess.run([SERVICES, "start", "--dir", servers], check=True, stdout=subprocess.DEVNULL)
        said = subprocess.run([SERVICES, "env", "--dir", servers], check=True, text=True, stdout=subprocess.PIPE).stdout
        settings = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", said, re.MULTILINE))
        shop = Shop(directory, roots, settings)
        shop.open()
        live(shop)
    except Failed as failure:
        print(f"FAILED: {failure}")
        for name in sorted(name for name in os.listdir(directory) if name.endswith(".log")):
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as log:
                print(f"-- {name}", "".join(log.readlines()[-15:]), sep="\n")
        return 1
    finally:
        if shop is not None:
            shop.close()
        subprocess.run([SERVICES, "remove", "--dir", servers], check=False, stdout=subprocess.DEVNULL)
    print("built, sold, killed, ended")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", default="bookworm")
    parser.add_argument("--mirror", metavar="URL", help="default: debootstrap's own")
    parser.add_argument("--base", metavar="DIRECTORY", help="where the empty system is made, once, and stays")
    parser.add_argument("--sell", nargs=3, metavar=("DIRECTORY", "CHECKOUT", "STOREFRONT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    if options.sell:
        directory, checkout, storefront = options.sell
        return sell(directory, {"checkout": checkout, "storefront": storefront})
    directory = tempfile.mkdtemp(prefix="checkout-container.")
    os.chmod(directory, 0o755)
    images = Images(directory)
    try:
        images.base(options, directory)
        roots = [images.build(target) for target in ("checkout", "storefront")]
        size = subprocess.run(["du", "-sm", *roots], check=True, text=True, stdout=subprocess.PIPE).stdout
        print("images, MiB: " + ", ".join(line.split()[0] for line in size.splitlines()), flush=True)
        return subprocess.run(["unshare", "--net", sys.executable, os.path.abspath(__file__), "--sell", directory,
                               *roots], check=False).returncode
    except Failed as failure:
        print(f"FAILED: {failure}")
        return 1
    finally:
        subprocess.run([*images.command, "umount", "--all"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
