#!/usr/bin/python3
"""The pure parts of chaos: the schedule, URLs through wires, and that each fault undoes itself."""

import os
import random
import sys
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import chaos_cluster  # noqa: E402
import chaos_failover  # noqa: E402
import chaos_faults  # noqa: E402
import chaos_programs  # noqa: E402
from chaos_world import Slot, World, addresses, at_ports  # noqa: E402
from wire_epmd import changed  # noqa: E402

BROKERS = "amqp://ann:s%2f@127.0.0.1:1001/%2f,amqp://ann:s%2f@127.0.0.1:1002/%2f"


class Wires:
    """What was said to each wire, in order."""

    def __init__(self):
        self.said = []

    def tell(self, wire, what, **more):
        self.said.append((wire, what, *more.values()))


class Reader:
    def __init__(self, said):
        self._said = said

    def stall(self):
        self._said.append(("log", "stall"))

    def go_on(self):
        self._said.append(("log", "go on"))


class Program:
    """A daemon that runs; `lost`: what it says of lost log lines, answer after answer."""

    def __init__(self, said, lost=()):
        self._said, self._lost = said, list(lost)
        self.reader = Reader(said)

    @staticmethod
    def running():
        return True

    def metric(self, _):
        if not self._lost:
            raise OSError("no answer")
        return self._lost.pop(0)

    def kill(self):
        self._said.append(("program", "kill"))


class Storm:
    """One consumer with two ways to its servers, in a world whose time does not pass."""

    def __init__(self, lost=()):
        self.world = World("/nowhere")
        self.world.wires = Wires()
        self.said = self.world.wires.said
        self.kills = 0
        self.slot = slot = Slot.__new__(Slot)
        slot.world, slot.kind, slot.name = self.world, "consumer", "consumer-1"
        slot.frozen = slot.leaving = slot.busy = False
        slot.wires = {"broker": ["b0", "b1"], "redis": ["r0"]}
        slot.daemon = Program(self.said, lost)
        slot.start = lambda: self.said.append(("program", "start"))
        self.world.of_kind = lambda kind: [slot] if kind == "consumer" else []

    def pause(self, seconds):
        self.said.append(("pause", seconds))

    def with_server(self, which, work):
        self.said.append((which, "is ours"))
        work()
        self.said.append((which, "is everybody's"))
        return True


class Schedule(unittest.TestCase):
    def test_a_seed_draws_the_same_faults(self):
        self.assertEqual(*[[(f.at, f.name, f.arguments) for f in chaos_faults.schedule(7, 120)] for _ in range(2)])
        self.assertNotEqual(*[[f.name for f in chaos_faults.schedule(seed, 120)] for seed in (7, 8)])

    def test_each_rare_fault_is_in_the_shortest_run(self):
        names = [fault.name for fault in chaos_faults.schedule(7, 60)]
        self.assertLessEqual(chaos_faults.RARE.keys(), set(names))

    def test_all_that_can_be_drawn_can_be_called(self):
        rng = random.Random(7)
        for part in (chaos_faults, chaos_cluster, chaos_failover):
            for rate, draw in [*part.DRAWS.values(), *part.RARE.values()]:
                self.assertGreater(rate, 0)
                self.assertTrue(callable(draw(rng)[0]))


class Patience(unittest.TestCase):
    def fired(self, rare, answers):
        """How often a fault is tried that has these answers."""
        tries = []
        fault = chaos_faults.Fault(0, "some", lambda storm: tries.append(1) or answers[len(tries) - 1], ((),), rare)
        storm = chaos_faults.Storm(World("/nowhere"), [], open(os.devnull, "w", encoding="ascii"))
        self.addCleanup(storm._log.close)
        storm._fire(fault)
        self.assertEqual((storm.fired["some"], storm.skipped["some"]), (answers[len(tries) - 1], not answers[len(tries) - 1]))
        return len(tries)

    def test_a_rare_fault_waits_until_there_is_something_to_disturb(self):
        with unittest.mock.patch.object(chaos_faults, "RETRY_S", 0.0):
            self.assertEqual(self.fired(True, [False, False, True]), 3)
            self.assertEqual(self.fired(False, [False]), 1)
            self.assertEqual(self.fired(True, [True]), 1)

    def test_a_long_run_in_which_a_rare_fault_never_happened_is_no_proof(self):
        log = open(os.devnull, "w", encoding="ascii")
        self.addCleanup(log.close)
        for part, names in ((chaos_faults, {"operator purges", "operator changes the number of shards"}),
                            (chaos_failover, {"an old primary comes back"})):
            plan = chaos_faults.schedule(7, 600, rare={**chaos_faults.RARE, **part.RARE})
            storm = chaos_faults.Storm(World("/nowhere"), plan, log)
            self.assertLessEqual(names, set(storm.missing(10)))
            self.assertEqual(storm.missing(9.9), [])
            for fault in plan:
                if fault.name not in names:
                    storm.fired[fault.name] += 1
            storm.skipped.update(names)
            self.assertEqual(storm.missing(10), sorted(names))
            storm.fired.update(names)
            self.assertEqual(storm.missing(10), [])
        seeded = chaos_faults.Storm(World("/nowhere"), chaos_faults.schedule(7, 600, rare={}), log)
        self.assertEqual(seeded.missing(10), [])


class Addresses(unittest.TestCase):
    def test_of_urls(self):
        both = [("127.0.0.1", 1001), ("127.0.0.1", 1002)]
        self.assertEqual(addresses(BROKERS), both)
        self.assertEqual(addresses("postgresql://a:b@127.0.0.1:1001,127.0.0.1:1002/shop?x=y"), both)
        self.assertEqual(addresses("http://127.0.0.1:1001"), both[:1])

    def test_a_url_through_wires(self):
        self.assertEqual(at_ports("broker", BROKERS, (7, 8)), "amqp://ann:s%2f@127.0.0.1:7/%2f,amqp://ann:s%2f@127.0.0.1:8/%2f")
        self.assertEqual(at_ports("database", "postgresql://a:b@h:5/shop", (7, 8)), "postgresql://a:b@127.0.0.1:7,127.0.0.1:8/shop")
        self.assertEqual(at_ports("gateway", "http://127.0.0.1:5", (7,)), "http://127.0.0.1:7")


class Programs(unittest.TestCase):
    def test_a_mute_address_speaks_again(self):
        storm = Storm()
        self.assertTrue(chaos_programs.mute_address(storm, "consumer", 3, "broker", 1, 6))
        self.assertEqual(storm.said, [("b0", "reset"), ("b1", "reset"), ("b1", "hold"), ("pause", 6), ("b1", "pass")])

    def test_a_server_with_one_address_is_not_made_mute(self):
        self.assertFalse(chaos_programs.mute_address(Storm(), "consumer", 0, "redis", 0, 6))
        self.assertFalse(chaos_programs.mute_address(Storm(), "notifier", 0, "redis", 0, 6))

    def test_the_log_is_read_again(self):
        for lost, done in (((0.0, 3.0), True), ((3.0, 3.0), False), ((), False)):
            storm = Storm(lost)
            self.assertEqual(chaos_programs.stall_log(storm, "consumer", 0, 3), done)
            self.assertEqual((storm.said[0], storm.said[-1]), (("log", "stall"), ("log", "go on")))
            self.assertEqual(storm.said.count(("r0", "reset")), 10)
            self.assertFalse(storm.slot.busy)

    def test_a_program_starts_without_a_server_that_comes(self):
        storm = Storm()
        self.assertTrue(chaos_programs.start_without(storm, "consumer", 0, "broker", 4))
        self.assertEqual(storm.said, [("program", "kill"), ("b0", "down"), ("b1", "down"), ("program", "start"),
                                      ("pause", 4), ("b0", "up"), ("b1", "up")])
        self.assertFalse(storm.slot.busy)

    def test_what_was_begun_is_undone_whatever_happens(self):
        for fault, arguments, undone in (
                (chaos_programs.mute_address, ("consumer", 0, "broker", 0, 6), ("b0", "pass")),
                (chaos_programs.stall_log, ("consumer", 0, 3), ("log", "go on")),
                (chaos_programs.start_without, ("consumer", 0, "broker", 4), ("b1", "up"))):
            storm = Storm((0.0, 1.0))
            storm.pause = None  # not to be called
            with self.assertRaises(TypeError):
                fault(storm, *arguments)
            self.assertEqual(storm.said[-1], undone)
            self.assertFalse(storm.slot.busy)


class Cluster(unittest.TestCase):
    def setUp(self):
        self.storm = Storm()
        self.said = self.storm.said
        world = self.storm.world
        world.broker_control = lambda *words, node: self.said.append((f"node {node}", *words))
        world.server = lambda command, which, node: self.said.append((f"{which} {node}", command))

    def test_a_node_that_is_cut_off_hears_nobody_and_is_heard_by_nobody(self):
        wires = ["node 2 to 1", "node 1 to 2", "node 2 to 3", "node 3 to 2"]
        self.assertEqual(World.wires_of_node(2), wires)
        self.assertTrue(chaos_cluster.cut_node(self.storm, 1, "pause_minority", 60))
        self.assertEqual(self.said[0], ("broker", "is ours"))
        setting = ("eval", "application:set_env(rabbit, cluster_partition_handling, pause_minority).")
        self.assertEqual(self.said[1:4], [(f"node {node}", *setting) for node in (1, 2, 3)])
        self.assertEqual(self.said[4:13], [*((wire, "hold") for wire in wires), ("pause", 60),
                                           *((wire, "pass") for wire in wires)])
        self.assertEqual(self.said[13:], [("node 3", "await_online_nodes", "3", "--timeout", "60"),
                                          ("broker", "is everybody's")])

    def test_a_node_whose_partition_was_ignored_starts_again(self):
        chaos_cluster.cut_node(self.storm, 2, "ignore", 4)
        self.assertEqual(self.said[-4:-1], [("broker 3", "stop"), ("broker 3", "start"),
                                            ("node 1", "await_online_nodes", "3", "--timeout", "60")])

    def test_the_cut_ends_whatever_happens(self):
        self.storm.pause = None     # not to be called
        with self.assertRaises(TypeError):
            chaos_cluster.cut_node(self.storm, 0, "ignore", 4)
        self.assertIn(("node 3 to 1", "pass"), self.said)

    def test_a_port_mapper_leads_elsewhere_for_the_nodes_it_knows(self):
        ask, answer = b"\x7ashop-2", b"\x77\x00\x12\x34rest"
        for asked, told, ports, wanted in ((ask, answer, {"shop-2": 0x5678}, b"\x77\x00\x56\x78rest"),
                                           (ask, answer, {"shop-1": 0x5678}, answer),
                                           (ask, b"\x77\x01", {"shop-2": 0x5678}, b"\x77\x01"),
                                           (b"n", b"\x00\x00\x12\x34rest", {}, b"\x00\x00\x9a\xbcrest")):
            self.assertEqual(changed(asked, told, 0x9abc, ports), wanted)


class Pair:
    """Of a primary that tells what happens to it."""

    def __init__(self, said):
        self.said = said

    def fail_over(self):
        self.said.append("fail over")
        return self

    def start(self):
        self.said.append("the old one starts")

    def renew(self, old):
        self.said.append("renew" if old is self else "?")


class Failover(unittest.TestCase):
    def test_the_old_primary_comes_back_and_becomes_a_standby(self):
        storm = Storm()
        storm.world.pair = Pair(storm.said)
        self.assertTrue(chaos_failover.old_primary_returns(storm, 3, 15))
        self.assertEqual(storm.said[1:-1], ["fail over", ("pause", 3), "the old one starts", ("pause", 15), "renew"])

    def test_it_becomes_a_standby_whatever_happens(self):
        storm = Storm()
        storm.world.pair = Pair(storm.said)
        storm.pause = None
        with self.assertRaises(TypeError):
            chaos_failover.old_primary_returns(storm, 3, 15)
        self.assertEqual(storm.said[-1], "renew")

    def test_no_address_is_mute_while_an_old_primary_may_be_the_other(self):
        storm = Storm()
        storm.world.pair = Pair(storm.said)
        storm.slot.wires["database"] = ["d0", "d1"]
        chaos_programs.mute_address(storm, "consumer", 0, "database", 0, 6)
        self.assertEqual(storm.said[0], ("database", "is ours"))


if __name__ == "__main__":
    unittest.main()
