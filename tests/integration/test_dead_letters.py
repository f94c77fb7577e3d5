#!/usr/bin/python3
"""Messages that we did not write: what cannot be read is put aside, what can be is answered."""

import json
import uuid

import harness
from harness import wait_until


class DeadLetters(harness.TestCase):
    """Each bad message is followed by a good order in the same line, which must not suffer."""

    daemons = ("sandbox", "consumer")
    shards = 2

    def setUp(self):
        self.sku = self.stack.item(stock=1000)
        self.shard = self.stack.shard(self.sku)

    # -- helpers ---------------------------------------------------------------------------------

    def assert_line_goes_on(self):
        """An order sent behind everything so far is served."""
        job = self.stack.job("after", self.sku)
        self.stack.publish_jobs(job)
        self.order_of(job).wait("confirmed", timeout=30)

    def order_of(self, job):
        return harness.Order(self.stack, job["user_id"], job["order_id"])

    def assert_dead(self, body, reason=None, **properties):
        """Publishes it; it must come out of checkout.dead with a reason, and the line goes on."""
        self.stack.publish(self.shard, body, **properties)
        self.assert_line_goes_on()
        dead = []               # what was behind it may have been decided in the same batch, and told first
        wait_until(lambda: dead.extend(self.stack.dead_letters()) or dead, 30, "a dead letter")
        self.assertEqual(len(dead), 1, [entry[1] for entry in dead])
        why = dead[0][1].get("x-checkout-reason")
        self.assertTrue(why, dead[0][1])
        if reason:
            self.assertIn(reason, why)
        return dead[0][0], why

    def assert_rejected_alone(self, raw_job, job):
        """`raw_job` (the text of a job with the id of `job`) among 255 good ones."""
        others = [self.stack.job(f"user-{n}", self.sku) for n in range(255)]
        texts = [json.dumps(other) for other in others]
        texts.insert(100, raw_job)
        body = ('{"version":1,"jobs":[' + ",".join(texts) + "]}").encode(errors="surrogateescape")
        self.stack.publish(self.shard, body)
        self.order_of(job).wait("rejected", "invalid")
        for other in others:
            self.order_of(other).wait("confirmed")
        self.assertEqual(self.stack.dead_letters(), [])
        self.assertEqual(self.decided(others), [other["order_id"] for other in others])

    def decided(self, jobs):
        """The ids of these jobs in the order in which they came to the counter."""
        rows = self.stack.sql("select order_id::text from order_events where sequence = 1 and "
                              "order_id = any(%s::uuid[]) order by event_id",
                              ([job["order_id"] for job in jobs],))
        return [row[0] for row in rows]

    def bad_field(self, **members):
        job = self.stack.job("ann", self.sku, **members)
        self.assert_rejected_alone(json.dumps(job), job)

    def bad_text(self, old, new):
        """The same with a change to the text of the job that no serializer would make."""
        job = self.stack.job("ann", self.sku, quantity=1)
        text = json.dumps(job, separators=(",", ":"))
        self.assertIn(old, text)
        self.assert_rejected_alone(text.replace(old, new), job)

    # -- messages that cannot be read --------------------------------------------------------------

    def test_not_json(self):
        body, _ = self.assert_dead(b"hello, is this the warehouse?")
        self.assertEqual(body, b"hello, is this the warehouse?")

    def test_an_empty_body(self):
        self.assert_dead(b"")

    def test_bytes_that_are_no_text(self):
        self.assert_dead(bytes(range(256)), content_type="application/octet-stream", type="image")

    def test_truncated_json(self):
        whole = harness.message(self.stack.job("ann", self.sku))
        self.assert_dead(whole[:-10])

    def test_json_of_another_kind(self):
        for body in (b"[]", b"{}", b"null", b"17", b'"x"', b'{"version":1,"jobs":{}}'):
            with self.subTest(body=body):
                self.assert_dead(body)

    def test_a_wrong_version(self):
        self.assert_dead(harness.message(self.stack.job("ann", self.sku), version=2))

    def test_a_missing_version(self):
        self.assert_dead(json.dumps({"jobs": [self.stack.job("ann", self.sku)]}).encode())

    def test_no_jobs(self):
        self.assert_dead(harness.message())

    def test_257_jobs(self):
        jobs = [self.stack.job(f"user-{n}", self.sku) for n in range(257)]
        self.assert_dead(harness.message(*jobs))
        self.assertEqual(self.decided(jobs), [])

    def test_two_mebibytes(self):
        self.assert_dead(b'{"version":1,"jobs":["' + b"x" * (2 << 20) + b'"]}')

    def test_deep_nesting(self):
        self.assert_dead(b'{"version":1,"jobs":' + b"[" * 5000 + b"]" * 5000 + b"}")

    # -- jobs that cannot be trusted ---------------------------------------------------------------

    def untrusted(self, job, **published):
        """A job without a verifiable id among two good ones."""
        before, after = self.stack.job("before", self.sku), self.stack.job("behind", self.sku)
        self.stack.publish(self.shard, harness.message(before, job, after), **published)
        self.order_of(before).wait("confirmed")
        self.order_of(after).wait("confirmed")
        self.assert_line_goes_on()
        dead = self.stack.dead_letters()
        self.assertEqual(len(dead), 1, [entry[1] for entry in dead])
        self.assertTrue(dead[0][1].get("x-checkout-reason"))
        self.assertIn(json.dumps(job.get("sku"))[1:-1].encode(), dead[0][0])

    def test_a_forged_id(self):
        job = self.stack.job("ann", self.sku)
        last = "0" if job["order_id"][-1] != "0" else "1"
        self.untrusted({**job, "order_id": job["order_id"][:-1] + last})

    def test_the_id_of_another_user(self):
        self.untrusted({**self.stack.job("ann", self.sku), "user_id": "eve"})

    def test_an_id_of_another_secret(self):
        self.untrusted(harness.job("another secret " * 4, "ann", self.sku))

    def test_a_random_uuid(self):
        self.untrusted(self.stack.job("ann", self.sku, order_id=str(uuid.uuid4())))

    def test_no_id(self):
        self.untrusted(self.stack.job("ann", self.sku, order_id=None))

    # -- jobs that can be read, and are wrong ------------------------------------------------------

    def test_a_negative_quantity(self):
        self.bad_field(quantity=-5)

    def test_a_quantity_of_zero(self):
        self.bad_field(quantity=0)

    def test_a_fraction(self):
        self.bad_field(quantity=1.5)

    def test_a_quantity_as_text(self):
        self.bad_field(quantity="1")

    def test_a_member_of_a_later_version_is_ignored(self):
        job = self.stack.job("ann", self.sku, colour="blue", gift={"sku": 7, "cards": [{}, None]})
        self.stack.publish_jobs(job)
        self.order_of(job).wait("confirmed")
        self.assert_line_goes_on()
        self.assertEqual(self.stack.dead_letters(), [])

    def test_a_missing_member(self):
        self.bad_field(payment_method=None)

    def test_a_member_of_null(self):
        self.bad_text('"quantity":1', '"quantity":null')

    def test_a_nul(self):
        self.bad_field(reference="cart\0 17")

    def test_a_nul_in_the_payment_method(self):
        self.bad_field(payment_method="pm_card\0visa")

    def test_numbers_that_postgresql_refuses(self):
        self.bad_field(quantity=2 ** 31)
        self.bad_field(quantity=2 ** 63 - 1)
        self.bad_field(unit_price=2 ** 62)

    def test_a_number_beyond_64_bits(self):
        self.bad_text('"quantity":1', '"quantity":9223372036854775808')

    def test_a_number_beyond_a_double(self):
        self.bad_text('"quantity":1', '"quantity":1e400')

    def test_a_duplicate_member(self):
        self.bad_text('"quantity":1', '"quantity":1,"quantity":2')

    def test_a_date_that_is_none(self):
        self.bad_field(accepted_at="2024-02-31T25:61:00.000Z")

    def test_a_date_that_postgresql_refuses(self):
        self.bad_field(accepted_at="0000-00-00T00:00:00.000Z")

    def test_a_year_that_postgresql_does_not_have(self):
        """Its text is a date; only PostgreSQL refuses it, in an invalid order too."""
        self.bad_field(accepted_at="0000-01-01T00:00:00.000Z")

    def test_bytes_that_are_no_utf8(self):
        self.bad_text('"quantity":1', '"quantity":1,"receipt_email":"caf\udce9@example.org"')

    def test_a_surrogate_without_its_other_half(self):
        self.bad_text('"quantity":1', '"quantity":1,"reference":"\\ud800"')

    def test_a_job_of_another_shard(self):
        names = (f"foreign-{n}" for n in range(1000))
        foreign = next(name for name in names if self.stack.shard(name) != self.shard)
        self.stack.item(foreign, stock=5)
        job = self.stack.job("ann", foreign)
        self.assert_rejected_alone(json.dumps(job), job)
        self.assertEqual(self.stack.counts(foreign), (5, 0, 0, 0))
        again = self.stack.job("ann", foreign)
        self.stack.publish_jobs(again)          # in its own line, under another id
        self.order_of(again).wait("confirmed")

    def test_a_fingerprint_that_is_none(self):
        self.bad_field(fingerprint="not hex")

    def test_a_sku_that_is_a_path(self):
        job = {**self.stack.job("ann", self.sku), "sku": "../../etc/passwd"}
        self.assert_rejected_alone(json.dumps(job), job)

    # -- both at once ------------------------------------------------------------------------------

    def test_many_bad_messages_do_not_hold_up_the_good_ones(self):
        good = []
        for number in range(60):
            self.stack.publish(self.shard, b"noise %d" % number)
            good.append(self.stack.job(f"user-{number}", self.sku))
            self.stack.publish_jobs(good[-1])
        for job in good:
            self.order_of(job).wait("confirmed")
        self.assertEqual(self.decided(good), [job["order_id"] for job in good])
        dead = []
        wait_until(lambda: dead.extend(self.stack.dead_letters()) or len(dead) == 60, 30, "60 dead letters")
        self.assertEqual(sorted(body for body, _ in dead), sorted(b"noise %d" % n for n in range(60)))


if __name__ == "__main__":
    harness.main()
