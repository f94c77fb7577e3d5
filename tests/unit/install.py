#!/usr/bin/python3
"""What `cmake --install` leaves is all that a host needs, and every word of the version agrees.

    install.py BUILD_DIRECTORY VERSION
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = {"checkout-producer": 8, "checkout-consumer": 8, "checkout-notifier": 8, "checkout-mailer": 8, "checkout-webhooks": 8,
            "checkout-console": 8,
            "checkoutctl": 1, "checkout-sandbox-gateway": 1}
UNITS = ("checkout-producer@.service", "checkout-consumer@.service", "checkout-notifier.service", "checkout-mailer.service", "checkout-webhooks.service",
         "checkout-console.service",
         "checkout.target")


def expected():
    """Every file that is to be there, without the prefix; the schemas as they are in the source."""
    files = {f"bin/{name}" for name in PROGRAMS}
    files |= {f"share/man/man{section}/{name}.{section}" for name, section in PROGRAMS.items()}
    files |= {f"share/doc/checkout/{name}" for name in
              ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "LICENSE")}
    files |= {f"lib/systemd/system/{name}" for name in UNITS}
    files |= {"lib/sysusers.d/checkout.conf", "share/bash-completion/completions/checkoutctl", "share/doc/checkout/examples/checkout.env"}
    examples = "share/doc/checkout/examples"
    for source, target in (("schemas", "share/checkout"), ("docs", "share/doc/checkout/docs"), ("deploy/proxy", examples),
                           *((f"deploy/{name}", f"{examples}/{name}") for name in ("prometheus", "grafana", "kubernetes")),
                           ("notifier/mail/templates", "share/checkout/mail")):
        for folder, _, names in os.walk(os.path.join(ROOT, source)):
            inside = os.path.relpath(folder, os.path.join(ROOT, source))
            files |= {os.path.normpath(os.path.join(target, inside, name)) for name in names}
    return files


def installed(prefix):
    return {os.path.relpath(os.path.join(folder, name), prefix)
            for folder, _, names in os.walk(prefix) for name in names}


def check_page(prefix, name, section, version, problems):
    path = os.path.join(prefix, f"share/man/man{section}/{name}.{section}")
    with open(path, encoding="utf-8") as source:
        page = source.read()
    if f'"Checkout {version}"' not in page.split("\n", 1)[0]:
        problems.append(f"{name}.{section} is of another version than {version}")
    settings = re.findall(r"^  (CHECKOUT_[A-Z_]+)", run(prefix, name, "--help"), re.MULTILINE)
    problems += [f"{name}.{section} lacks {setting}" for setting in settings if setting not in page]


def run(prefix, name, *arguments):
    return subprocess.run([os.path.join(prefix, "bin", name), *arguments], check=True, capture_output=True,
                          text=True, env={}).stdout


# What is typed, and what bash then offers; None: names of files.
COMPLETED = (
    ("checkoutctl ite", ["items"]),
    ("checkoutctl items re", ["restock"]),
    ("checkoutctl items restock SKU 5 --j", ["--json"]),
    ("checkoutctl --json shar", ["shards"]),
    ("checkoutctl orders list --sin", ["--since"]),
    ("checkoutctl items import fi", None),
    ("checkoutctl nothing ", None),
)


def completed(script, typed):
    words = typed.split(" ")
    ask = (f'complete() {{ :; }}; source "$0"; COMP_WORDS=("$@"); COMP_CWORD={len(words) - 1}; _checkoutctl; '
           'printf "%s\\n" "${COMPREPLY[@]}"')
    offered = subprocess.run(["bash", "-c", ask, script, *words], check=True, capture_output=True, text=True).stdout
    return offered.split() or None


def check_completion(prefix, problems):
    script = os.path.join(prefix, "share/bash-completion/completions/checkoutctl")
    for typed, wanted in COMPLETED:
        offered = completed(script, typed)
        if offered != wanted:
            problems.append(f"bash completes {typed!r} by {offered}, not {wanted}")
    families = completed(script, "checkoutctl ")
    problems += [f"bash does not offer {word}" for word in ("audit", "items", "doctor") if word not in families]


def main():
    build, version = sys.argv[1:]
    problems = []
    with tempfile.TemporaryDirectory(prefix="checkout-install.") as prefix:
        subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, capture_output=True)
        found, wanted = installed(prefix), expected()
        problems += [f"not installed: {name}" for name in sorted(wanted - found)]
        problems += [f"installed, and nobody expects it: {name}" for name in sorted(found - wanted)]
        for name, section in PROGRAMS.items():
            said = run(prefix, name, "--version")
            if said != f"{name} {version}\n":
                problems.append(f"{name} --version says {said!r}, and the version is {version}")
            check_page(prefix, name, section, version, problems)
        check_completion(prefix, problems)
        plan = subprocess.run([os.path.join(prefix, "bin/checkoutctl"), "migrate", "--help"], check=False,
                              capture_output=True, text=True, env={})
        if plan.returncode != 0:
            problems.append(f"checkoutctl migrate --help: {plan.stderr}")
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as source:
        newest = re.search(r"^## \[([^\]]+)\] - (\S+)", source.read(), re.MULTILINE)
    if newest is None or newest[1] != version:
        problems.append(f"CHANGELOG.md begins with {newest and newest[1]}, and the version is {version}")
    print("\n".join(problems) or f"version {version}, all of it")
    sys.exit(1 if problems else 0)


main()
