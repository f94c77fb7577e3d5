#!/usr/bin/python3
"""RabbitMQ's disk alarm, which blocks whoever publishes: nothing else waits for its end."""

import harness
import harness_services
from harness import wait_until

TOO_MUCH_DISK, LITTLE_DISK = "100000GB", "1MB"


class DiskAlarm(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    shards = 2

    @classmethod
    def setUpClass(cls):
        cls.node = harness_services.PrivateNode(harness_services.start_own())
        super().setUpClass()
        cls.consumer = cls.stack.daemon("consumer")

    def alarm(self, on):
        self.node.ctl("set_disk_free_limit", TOO_MUCH_DISK if on else LITTLE_DISK)

    def blocked(self):
        """Whether a milestone waits to be kept."""
        return self.consumer.metric("checkout_milestone_waits_seconds") > 1

    def compared(self):
        return self.stack.sql("select problem from database_problem(true)") == [(None,)]

    def test_a_database_that_starts_anew_is_compared(self):
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        wait_until(lambda: self.compared() and not self.blocked(), 20, "the database to be compared")
        self.addCleanup(self.alarm, False)
        self.alarm(True)
        self.stack.ctl("orders", "refund", order.id, "--note", "a test")
        order.wait("refunded")
        wait_until(self.blocked, 20, "the consumer to be blocked")
        self.stack.sql("update database_check set identity = 'of another start'")
        self.assertFalse(self.compared())
        wait_until(self.compared, 20, "the database to be compared")
        self.assertTrue(self.blocked())


if __name__ == "__main__":
    harness.main()
