#!/usr/bin/python3
"""The auditor judges what was purged by what was kept of it, knows who had to begin anew, and which items a shard had."""

import copy
import unittest

import evidence
from test_auditor import WorldCase

LONG_AGO = "2024-11-01T12:00:00.5+00:00"


class YearsCase(WorldCase):
    def assert_none(self):
        self.assertEqual(self.world.violations(), [])

    def keep(self, order):
        """Returns the rows, which may become old now."""
        rows = [(table, row) for table in evidence.KEYS for row in self.world.tables[table] if row["order_id"] == order]
        self.world.kept += [{"table": table, "row": copy.deepcopy(row)} for table, row in rows]
        return rows

    def remove(self, rows):
        for table, row in rows:
            self.world.tables[table].remove(row)

    def purge(self, order):
        row = dict(self.world.row("orders", order_id=order))
        self.remove(self.keep(order))
        self.world.tables["purged_orders"].append({"order_id": order, "status": row["status"], "reason": row["reason"]})
        return self.world.tables["purged_orders"][-1]


class Purged(YearsCase):
    def test_what_was_kept_stands_for_what_is_gone(self):
        for order in ("ann", "ben", "dan"):
            self.purge(order)
        self.assert_none()

    def test_what_was_kept_is_judged(self):
        self.world.tables["payments"] = []
        self.purge("ben")
        self.assert_found("P4", "order ben is confirmed, its payments are []")

    def test_what_became_old_and_stayed_has_its_own_times(self):
        for _, row in self.keep("ben"):
            row.update({name: LONG_AGO for name in evidence.AGED if name in row})
        self.assert_none()

    def test_one_that_is_lost(self):
        self.remove(self.keep("ben"))
        self.assert_found("P8", "order ben was answered 202 and is lost")

    def test_one_that_was_not_to_be_purged(self):
        self.purge("ben")
        self.world.kept.clear()
        self.assert_found("P8", "order ben was purged, which nobody wanted")

    def test_another_end(self):
        self.purge("ben")["status"] = "cancelled"
        self.assert_found("P2", "order ben was confirmed, and is purged as cancelled")

    def test_one_that_is_there_again(self):
        row = self.world.row("orders", order_id="ben")
        self.purge("ben")
        self.world.tables["orders"].append(row)
        self.assert_found("P2", "order ben was purged and is there again")


class Anew(YearsCase):
    def begin(self, user="cat", later=50):
        self.world.frames.append({"socket": user, "user": user, "at": 99.0, "saw": "anew",
                                  "wall": evidence.seconds(self.world.now(later))})
        self.world.frames.append({"socket": user + "-2", "user": user, "at": 99.5, "saw": "open"})

    def place(self, place):
        self.world.frames.append({"socket": "cat-2", "user": "cat", "at": 99.9, "saw": "place", "event": {
            "id": "4.99", "subject": "cat", "type": "checkout.order.place.v1", "sequence": 1,
            "data": {"order_id": "cat", "status": "waiting", "place_in_line": place}}})

    def test_who_begins_anew_is_told_places_again(self):
        self.place(2)
        self.begin()
        self.place(3)
        self.place(1)
        self.assert_none()

    def test_a_place_that_rises_afterwards(self):
        self.place(2)
        self.begin()
        self.place(3)
        self.place(4)
        self.assert_found("P6", "cat was told place 4 of cat, after 3")

    def test_another_one_who_begins_anew_excuses_nothing(self):
        self.place(2)
        self.begin("dan")
        self.place(3)
        self.assert_found("P6", "cat was told place 3 of cat, after 2")

    def test_all_is_told_again(self):
        self.begin("ben")
        for sequence, status, number in ((1, "waiting", 2), (2, "reserved", 4), (3, "confirmed", 5)):
            self.world.frame("ben", sequence, status, None, socket="ben-2", number=number)
        self.assert_none()

    def test_all_is_told_again_in_its_order(self):
        self.begin("ben")
        for sequence, status, number in ((3, "confirmed", 5), (2, "reserved", 4)):
            self.world.frame("ben", sequence, status, None, socket="ben-2", number=number)
        self.assert_found("P6", "ben was told of ben against its order")

    def unheard(self, order):
        """The last event of it."""
        self.world.frames.remove([frame for frame in self.world.frames if frame["event"]["subject"] == order][-1])

    def test_an_end_that_was_purged_before(self):
        self.unheard("ben")
        self.purge("ben")
        self.begin("ben")
        self.assert_none()

    def test_an_end_that_came_afterwards(self):
        self.unheard("ben")
        self.purge("ben")
        self.begin("ben", later=-9)
        self.assert_found("P6", "ben was never told that ben is confirmed")

    def test_an_end_that_is_there(self):
        self.unheard("ben")
        self.begin("ben")
        self.assert_found("P6", "ben was never told that ben is confirmed")

    def test_an_end_of_one_who_did_not_begin_anew(self):
        self.unheard("ben")
        self.purge("ben")
        self.assert_found("P6", "ben was never told that ben is confirmed")


class Shards(YearsCase):
    """A shard is paused before all orders. By XXH3, "dress" is in shard 2 of 4 and of 8, "ring" in shard 1."""

    def pause(self, shard, *moves):
        self.world.tables["commands"].append({
            "command_id": 1, "kind": "pause", "sku": None, "shard": shard, "order_id": None, "state": "done",
            "argument": None, "finished_at": "2026-01-01T11:59:00+00:00"})
        self.world.tables["reshards"] += [
            {"from_shards": before, "to_shards": after, "moved_at": moved_at} for before, after, moved_at in moves]

    def test_items_are_those_of_the_number_of_then(self):
        before, after = "2026-01-01T11:58:00+00:00", "2026-01-01T12:30:00+00:00"
        for shard, moves, units in ((0, [(1, 4, after)], ("ann", "dan")), (2, [(4, 1, after)], ("ann",)),
                                    (2, [(2, 4, before), (4, 8, after)], ("ann",)), (1, [(1, 4, before)], ("dan",)),
                                    (0, [(1, 4, before)], ()), (1, [(4, 1, before)], ())):
            self.setUp()
            self.pause(shard, *moves)
            found = [v.text for v in self.world.violations() if "while they were paused" in v.text]
            self.assertEqual([name for name in ("ann", "dan") if any(f"order {name} " in text for text in found)], list(units),
                             (shard, moves))


if __name__ == "__main__":
    unittest.main()
