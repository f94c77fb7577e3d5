#!/usr/bin/python3
"""The units of systemd are right, and give the programs little: judged by systemd itself.

    units.py BUILD_DIRECTORY
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

EXPOSURE_MAX = 2.0
INSTANCES = {"checkout-producer@.service": "1", "checkout-consumer@.service": "1", "checkout-notifier.service": "",
             "checkout-mailer.service": "", "checkout-webhooks.service": "", "checkout-console.service": ""}


def analyze(directory, *arguments):
    """What systemd-analyze says, which knows the units of `directory` beside the system's."""
    run = subprocess.run(["systemd-analyze", *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:", "LC_ALL": "C.UTF-8"})
    return run.returncode, run.stdout


def main():
    build = os.path.abspath(sys.argv[1])
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is not installed")
        sys.exit(77)
    problems = []
    with tempfile.TemporaryDirectory(prefix="checkout-units.") as directory:
        for name in (*INSTANCES, "checkout.target"):
            with open(os.path.join(build, "deploy/systemd", name), encoding="utf-8") as source:
                text = source.read()
            # what env starts would not be looked at
            text = re.sub(r"^ExecStart=/usr/bin/env (?:\S+=\S+ )+", "ExecStart=", text, flags=re.MULTILINE)
            with open(os.path.join(directory, name), "w", encoding="utf-8") as copy:
                copy.write(re.sub(r"(?<=[ =])/\S+/(checkout-[a-z]+)$", rf"{build}/bin/\1", text, flags=re.MULTILINE))
        for name, instance in INSTANCES.items():
            unit = os.path.join(directory, name.replace("@", f"@{instance}"))
            code, said = analyze(directory, "verify", "--man=no", unit)
            if code != 0 or directory in said:
                problems.append(f"{name}: {said.strip()}")
            code, said = analyze(directory, "security", "--offline=true", os.path.join(directory, name))
            level = re.search(r"exposure level for \S+ ([0-9.]+)", said)
            if level is None or float(level[1]) > EXPOSURE_MAX:
                problems.append(f"{name}: {said.strip()}")
            else:
                print(f"{name}: exposure {level[1]}, at most {EXPOSURE_MAX}")
    print("\n".join(problems) or "systemd takes them")
    sys.exit(1 if problems else 0)


main()
