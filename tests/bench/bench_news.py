"""What mails and webhooks cost the drain: paid orders of buyers with an address, each of whose confirmations has a row in
checkout.mails, while checkout-webhooks gives every event its row; beside the same orders without either. Sending is
left out, since it needs servers of its own: the endpoint is connected to and never answers."""

import collections
import os
import socket

UNITS = {"news_vs_none": "ratio"}
FLOORS = {"news_vs_none": (0.9, None)}
ITEMS = 1000
BATCH = 200


class NewsFigures:
    """A group of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def news(self):
        orders = self.orders        # fewer are too short a time to compare
        rates = collections.defaultdict(list)
        for which in ("none", "news", "news", "none"):
            self.tell(f"{orders} paid orders, {which}")
            rates[which].append(self._drain_told(orders, which == "news"))
        self.add("news_vs_none", sum(rates["news"]) / sum(rates["none"]))

    def _drain_told(self, orders, told):
        stack = self.bed.stack
        stack.sql("truncate mails, hook_deliveries")
        self.bed.fresh(ITEMS, orders)
        self._publish(orders, told)
        if not told:
            return self.bed.drain(orders)[0]
        with socket.create_server(("127.0.0.1", 0)) as silent:
            stack.ctl("webhooks", "add", "bench", f"https://127.0.0.1:{silent.getsockname()[1]}/",
                      CHECKOUT_HOOKS_SECRETS=stack.directory)
            webhooks = stack.start("webhooks", CHECKOUT_HOOKS_SECRETS=stack.directory, CHECKOUT_HOOKS_ALLOW="127.0.0.0/8")
            try:
                rate, _ = self.bed.drain(orders)
            finally:
                webhooks.kill()
                made = stack.sql("select (select count(*) from mails), (select count(*) from hook_deliveries)")[0]
                stack.ctl("webhooks", "remove", "bench")
        if made[0] != orders or made[1] == 0:
            raise RuntimeError(f"{orders} orders have {made[0]} mails and {made[1]} webhooks")
        return rate

    def _publish(self, orders, told):
        stack, jobs = self.bed.stack, collections.defaultdict(list)
        run = os.urandom(4).hex()
        for n in range(orders):
            sku = f"bench-{n % ITEMS:06d}"
            address = {"mail_to": f"buyer-{n}@bench.example"} if told else {}
            jobs[stack.shard(sku)].append(stack.job(f"buyer-{n % 1000}", sku, f"{run}-{n}", **address))
        for shard, those in jobs.items():
            for first in range(0, len(those), BATCH):
                stack.publish_jobs(*those[first:first + BATCH], shard=shard)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {"news": (("news_vs_none",), True)}
