#!/usr/bin/python3
"""What the bench computes without servers."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "integration")]

import bench_costs  # noqa: E402
import bench_door  # noqa: E402
import bench_figures  # noqa: E402
import bench_instructions  # noqa: E402
import bench_peers  # noqa: E402
import bench_profile  # noqa: E402
import bench_shards  # noqa: E402


class BusyShare(unittest.TestCase):
    def test_idle_and_waiting_for_a_disk_are_not_busy(self):
        before = "cpu  100 0 50 1000 10 0 5 0 0 0"
        after = "cpu  150 0 70 1060 20 0 10 50 0 0"      # 75 used, 50 stolen, 60 idle, 10 waiting
        self.assertAlmostEqual(bench_peers.busy_share(before, after), 125 / 195)

    def test_no_time_at_all_is_not_busy(self):
        line = "cpu  100 0 50 1000 10 0 5 0 0 0"
        self.assertEqual(bench_peers.busy_share(line, line), 0)


class Wrk(unittest.TestCase):
    TEXT = ("Running 6s test @ http://127.0.0.1:1/v1/orders\n  Requests/sec:   10.00\n"
            '{"answers":%d,"seconds":2.000000,"refused":0,"broken":%d,"p50_us":100,"p99_us":200}\n')

    def test_a_rate_is_of_the_answers(self):
        self.assertEqual(bench_peers.read_wrk(self.TEXT % (300, 0))["per_s"], 150)

    def test_a_broken_connection_measures_nothing(self):
        with self.assertRaises(RuntimeError):
            bench_peers.read_wrk(self.TEXT % (300, 1))

    def test_no_answer_measures_nothing(self):
        with self.assertRaises(RuntimeError):
            bench_peers.read_wrk(self.TEXT % (0, 0))


class Queues(unittest.TestCase):
    @staticmethod
    def rounds(*rates):
        return [{queues: {"per_s": rate} for queues, rate in zip((16, 4, 1), of_round)} for of_round in rates]

    def test_the_best_median_suits_best(self):
        self.assertEqual(bench_peers.suits_best(self.rounds((90, 70, 60), (10, 80, 99), (10, 75, 50))), 4)

    def test_one_round_has_its_fastest(self):
        self.assertEqual(bench_peers.suits_best(self.rounds((5, 6, 7))), 1)


class Profile(unittest.TestCase):
    SCRIPT = ("\n            7f8 __send (inlined) (/lib/libc.so.6)\n            55d flush (/bin/door)\n"
              "            55e main (/bin/door)\n\n"
              "\n            55d flush (/bin/door)\n            55e main (/bin/door)\n\n"
              "\n            55f [unknown] (/lib/x/libcurl.so.4)\n            55e main (/bin/door)\n\n")

    def test_alike_stacks_are_one(self):
        self.assertEqual(bench_profile.fold(self.SCRIPT + self.SCRIPT),
                         {"main;flush;__send (inlined)": 2, "main;flush": 2, "main;libcurl.so.4": 2})

    def test_who_was_at_work_counts(self):
        self.assertEqual(dict(bench_profile.busiest({"main;flush;send": 3, "main;flush": 1}, 2)),
                         {"send": 0.75, "flush": 0.25})


class Fairness(unittest.TestCase):
    def test_twice_the_time_or_25_ms_is_fair(self):
        self.assertEqual(bench_door.fairness(2, 4), 4 / 25)
        self.assertEqual(bench_door.fairness(20, 40), 1)
        self.assertEqual(bench_door.fairness(5, 25), 1)
        self.assertGreater(bench_door.fairness(12, 25.1), 1)


class Instructions(unittest.TestCase):
    def test_clearing_memory_is_left_out(self):
        text = ("519,520,930 (100.0%)  PROGRAM TOTALS\n\n"
                "191,528,338 (36.87%)  ./string/memset-vec.S:__memset_avx2_unaligned_erms [/lib/libc.so.6]\n"
                "  1,000,500 ( 0.20%)  common/base/buf.c:buf_append [/bin/checkout-producer]\n"
                "     10,500 ( 0.00%)  ???:0x000000000029ad80 [/lib/libcrypto.so.3]\n")
        self.assertEqual(bench_instructions.instructions(text), 1011000)


class Costs(unittest.TestCase):
    def test_what_perf_counted(self):
        self.assertEqual(bench_costs.counted("# started\n14700,,raw_syscalls:sys_enter,615758,100.00,,\n"), 14700)

    def test_what_it_did_not_count_is_nothing(self):
        for text in ("", "<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n", "Error: no permission\n"):
            self.assertIsNone(bench_costs.counted(text))


class Shards(unittest.TestCase):
    def test_a_line_of_the_table_for_each_number(self):
        lines = bench_shards.table([["1"] * 8, ["2"] * 8]).splitlines()
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        self.assertEqual(lines[2:], ["| 1 " * 8 + "|", "| 2 " * 8 + "|"])


class Figures(unittest.TestCase):
    def test_each_has_a_unit_and_a_group_that_gives_it(self):
        grouped = {name for names, _ in bench_figures.GROUPS.values() for name in names}
        self.assertLessEqual(grouped, set(bench_figures.UNITS))
        self.assertLessEqual(set(bench_figures.FLOORS), set(bench_figures.UNITS))


class Command(unittest.TestCase):
    def test_it_knows_its_figures_by_itself(self):
        done = subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), "--samples", "1"], text=True, check=False,
                              stderr=subprocess.PIPE)
        self.assertIn("fewer than 3 samples", done.stderr)

    def test_its_help_names_each_figure(self):
        told = subprocess.run([os.path.join(HERE, "run"), "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout
        self.assertEqual(set(told.partition("Figures:\n")[2].split()), set(bench_figures.UNITS))


if __name__ == "__main__":
    unittest.main()
