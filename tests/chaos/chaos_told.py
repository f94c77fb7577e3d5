"""Who is told by mail and by webhook: a mail server and an endpoint that fail some of what they get, and note what they took."""

import json
import random
import threading
import time

import chaos_world  # noqa: F401 (it knows where the harness is)
from harness_hooks import CUT, SILENT, Receiver
from harness_mail import Inbox

SHARE = 0.2
MAIL_FAULTS = ("rejected", "refused", "busy", "shy", "closed", "closing", "greylisted", "throttled", "lost", "slow", "silent",
               "kept")
HOOK_FAULTS = (500, 503, 302, CUT, SILENT, "lost", "kept", "slow")
TAKEN = ("lost", "kept", "slow")
HURRY = ("update mails set state = 'due', ended_at = null, due_at = now() where state <> 'sent' and claimed_by is null "
         "and (state <> 'due' or due_at > now())",
         "update hook_deliveries set due_at = now() where state = 'due' and claimed_by is null and due_at > now()",
         "update hook_endpoints set try_at = now() where try_at > now()")
LEFT = ("select (select count(*) from mails where state <> 'sent' and kind <> 'action')"
        " + (select count(*) from hook_deliveries where state <> 'sent')"
        " + (select count(*) from hook_endpoints h join order_events e on e.event_id > h.positions[e.shard + 1])")


def address(rng, key):
    """Of an order's buyer: it says what the mail server does at first."""
    return f"{rng.choice(MAIL_FAULTS) + '-1' if rng.random() < SHARE else 'well'}+{key}@chaos.example"


class Told:
    def __init__(self, seed):
        self.seed, self.seen, self.lines, self._lock = seed, set(), [], threading.Lock()
        self.inbox, self.receiver = Inbox(), Receiver(self._answer)

    def settings(self, folder):
        return {"CHECKOUT_MAIL": "true", "CHECKOUT_MAIL_TO_ANY": "true", "CHECKOUT_SMTP_TLS": "false",
                "CHECKOUT_SMTP_URL": f"smtp://127.0.0.1:{self.inbox.port}", "CHECKOUT_SMTP_TIMEOUT": "2s",
                "CHECKOUT_MAIL_FROM": "shop@chaos.example", "CHECKOUT_HOOKS_HTTP": "true",
                "CHECKOUT_MAIL_INFLIGHT": "64", "CHECKOUT_HOOKS_INFLIGHT": "64",    # many places are taken by who never answers
                "CHECKOUT_HOOKS_ALLOW": "127.0.0.1", "CHECKOUT_HOOKS_TIMEOUT": "2s", "CHECKOUT_HOOKS_SECRETS": folder}

    def _answer(self, hook, _):
        dice = random.Random(f"{self.seed} {hook.id}")
        with self._lock:
            strikes = hook.id not in self.seen and dice.random() < SHARE
            fault = dice.choice(HOOK_FAULTS) if strikes else None
            self.seen.add(hook.id)
            if fault is None or fault in TAKEN:
                self.lines.append({"saw": "webhook", "id": hook.id, "type": hook.type, "data": hook.data})
        if fault == "slow":
            time.sleep(0.5)
            return 200
        return {None: 200, "lost": CUT, "kept": SILENT}.get(fault, fault)

    def hurry(self, stack):
        """What waits for its next attempt is due, what was refused for good is tried again; how many are left."""
        for statement in HURRY:
            stack.sql(statement)
        return stack.one(LEFT)

    def write(self, path):
        """What was taken, as evidence."""
        with open(path, "w", encoding="utf-8") as sink:
            for mail in list(self.inbox.mails):
                sink.write(json.dumps({"saw": "mail", "to": mail.recipients[0], "id": mail.id}) + "\n")
            sink.writelines(json.dumps(line) + "\n" for line in self.lines)

    def close(self):
        self.inbox.close()
        self.receiver.close()
