#!/usr/bin/python3
"""The judge of "ready" finds a program that says so without doing its job, and nobody else."""

import datetime
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import evidence  # noqa: E402
import judge_ready  # noqa: E402

WALL = 1_800_000_000.0     # the wall clock at 0 of the monotonic one


def wall(at):
    return datetime.datetime.fromtimestamp(WALL + at, datetime.timezone.utc).isoformat()


class Log:
    """60 s of a shop in which everybody says "ready" and one order of ann is decided and told at once."""

    def __init__(self):
        self.found = evidence.Evidence()
        self.said = {"consumer-1": 200, "consumer-2": 200, "producer-1": 200, "notifier-1": 200}
        self.found.items["hat"] = {"shard": 0}
        self.found.frames.append({"socket": 1, "user": "ann", "at": 0.5, "saw": "open"})
        self.take(0.0, "consumer-1", 1)
        self.order("first", 1.0, decided=1.2, told=1.3)
        for at in range(60):
            self.say(at, **self.said)

    def say(self, at, frozen=False, **said):
        for program, status in said.items():
            self.found.ready.append({"program": program, "kind": program.split("-")[0], "pid": 7,
                                     "asked": at - 0.01, "at": float(at), "wall": WALL + at, "status": status,
                                     "frozen": frozen})

    def change(self, program, first, last, **line):
        for answer in self.found.ready:
            if answer["program"] == program and first <= answer["at"] <= last:
                answer.update(line)

    def take(self, at, program, epoch):
        self.found.tables["take_overs"].append({
            "take_over_id": epoch, "shard": 0, "epoch": epoch, "name": program, "taken_at": wall(at),
            "released_at": None})

    def order(self, name, accepted, decided=None, told=None, status="confirmed"):
        evidence.add_request(self.found, {
            "do": "order", "user": "ann", "key": name, "sku": "hat", "quantity": 1, "method": "pm_card_visa",
            "sent": accepted - 0.1, "answered": accepted, "status": 202, "order": name})
        if decided is not None:
            number = len(self.found.tables["order_events"]) + 1
            event = {"event_id": number, "order_id": name, "shard": 0, "sequence": 1, "status": status,
                     "created_at": wall(decided)}
            self.found.tables["order_events"].append(event)
            self.found.history[name] = [event]
            if told is not None:
                self.found.frames.append({"socket": 1, "user": "ann", "at": told, "saw": "frame",
                                          "event": {"id": str(number), "subject": name}})

    def pause(self, at, sku, shard):
        for kind, moment in (("pause", at), ("resume", at + 30)):
            self.found.commands.append({"kind": kind, "sku": sku, "shard": shard, "finished_at": wall(moment)})

    def refuse(self, first, last, status=503):
        for tenth in range(int(first * 10), int(last * 10)):
            evidence.add_request(self.found, {
                "do": "order", "user": "ann", "key": f"refused {tenth}", "sku": "hat", "quantity": 1,
                "method": "pm_card_visa", "sent": tenth / 10, "answered": tenth / 10 + 0.05, "status": status,
                "order": None})


class Ready(unittest.TestCase):
    def setUp(self):
        self.log = Log()

    def said(self):
        return [violation.text for violation in judge_ready.judge(self.log.found)]

    def assert_found(self, words):
        self.assertTrue(any(words in text for text in self.said()), f"no “{words}” in {self.said()}")

    def test_a_shop_that_works(self):
        self.assertEqual(self.said(), [])

    def test_without_a_log_nothing_is_judged(self):
        self.log.order("second", 5.0, decided=40.0, told=40.1)
        self.log.found.ready = []
        self.assertEqual(self.said(), [])

    # The consumers.

    def test_an_owner_that_decides_nothing(self):
        self.log.order("second", 5.0, decided=22.0, told=22.1)
        self.assert_found("consumer-1 said ready for 17.0 s while orders of shard 0 waited, second first")
        self.assertEqual(len(self.said()), 1)     # consumer-2 does not own the shard

    def test_an_order_that_is_never_decided(self):
        self.log.order("second", 40.0)
        self.assert_found("consumer-1 said ready for 19.0 s")

    def test_nobody_owns_the_shard_though_all_are_ready(self):
        self.log.found.tables["take_overs"].clear()
        self.log.order("second", 5.0, decided=45.0, told=45.1)
        self.assert_found("every consumer said ready for 40.0 s")

    def test_an_owner_that_says_so_in_time(self):
        self.log.order("second", 5.0, decided=40.0, told=40.1)
        self.log.change("consumer-1", 15, 40, status=503)
        self.assertEqual(self.said(), [])

    def test_an_owner_that_works_for_others_is_slow_not_dead(self):
        self.log.order("second", 5.0, decided=40.0, told=40.1)
        for at in range(6, 40, 2):
            self.log.order(f"other {at}", at - 0.5, decided=float(at), told=at + 0.1)
        self.assertEqual(self.said(), [])

    def test_a_new_owner_gets_its_time(self):
        self.log.order("second", 5.0, decided=24.0, told=24.1)
        self.log.take(15.0, "consumer-2", 2)
        self.assertEqual(self.said(), [])

    def test_another_process_of_the_same_name_gets_its_time(self):
        self.log.order("second", 5.0, decided=24.0, told=24.1)
        self.log.change("consumer-1", 15, 60, pid=8)
        self.assertEqual(self.said(), [])

    def test_what_operators_pause_may_wait(self):
        for sku, shard in (("hat", 0), (None, 0)):
            with self.subTest(sku=sku):
                self.log = Log()
                self.log.pause(4.0, sku, shard)
                self.log.order("second", 5.0, decided=30.0, told=30.1)
                self.assertEqual(self.said(), [])

    # The door.

    def test_a_door_that_refuses(self):
        for status in (503, 0):
            with self.subTest(status=status):
                self.log = Log()
                self.log.refuse(5, 25, status)
                self.assert_found("every producer said ready for 19.9 s while the door refused 200 orders in a row")

    def test_a_door_that_says_that_it_refuses(self):
        self.log.refuse(5, 25)
        self.log.change("producer-1", 12, 25, status=503)
        self.assertEqual(self.said(), [])

    def test_a_door_that_refuses_some(self):
        self.log.refuse(5, 25)
        for at in (10, 17):
            self.log.order(f"accepted {at}", at + 0.01, decided=at + 0.02, told=at + 0.03)
        self.assertEqual(self.said(), [])

    # The news.

    def test_a_notifier_that_is_deaf(self):
        self.log.order("second", 5.0, decided=5.1, told=40.0)
        self.assert_found("every notifier said ready for 19.9 s while ann did not hear that second is confirmed")

    def test_a_notifier_that_says_so(self):
        self.log.order("second", 5.0, decided=5.1, told=40.0)
        self.log.change("notifier-1", 29, 40, status=503)
        self.assertEqual(self.said(), [])

    def test_a_commit_that_hangs_is_no_news_yet(self):
        self.log.order("second", 5.0, decided=5.1, told=25.0)
        self.assertEqual(self.said(), [])

    def test_who_does_not_listen_does_not_hear(self):
        self.log.found.frames.append({"socket": 1, "user": "ann", "at": 4.0, "saw": "close"})
        self.log.order("second", 5.0, decided=5.1)
        self.assertEqual(self.said(), [])

    def test_a_reservation_is_not_the_end(self):
        self.log.order("second", 5.0, decided=5.1, status="reserved")
        self.assertEqual(self.said(), [])

    # doctor and the admin address

    def test_doctor_says_that_all_is_well(self):
        self.log.order("second", 5.0, decided=40.0, told=40.1)
        for program in self.log.said:
            self.log.change(program, 0, 60, status=503)
        self.log.say(10, **{"doctor-": 200})
        self.log.say(30, **{"doctor-": 503})
        self.assertEqual(self.said(), [])
        self.log.say(30, **{"doctor-": 200})
        self.assert_found("doctor said that all is well while orders of shard 0 waited")

    def test_an_admin_address_that_is_mute(self):
        self.log.change("notifier-1", 10, 25, status=0)
        self.assert_found("notifier-1 did not answer at its admin address for 15.0 s")
        self.log.change("notifier-1", 10, 25, frozen=True)
        self.assertEqual(self.said(), [])


if __name__ == "__main__":
    unittest.main()
