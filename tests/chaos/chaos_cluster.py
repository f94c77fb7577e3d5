"""Faults of one of three broker nodes: it hangs, or is cut off from the two others while its clients stay."""

import os
import signal

from chaos_world import NODES

MODES = ("ignore", "pause_minority")    # what RabbitMQ does about a partition
LONG_S = 60


def freeze_node(storm, number, mode, seconds):
    """A node hangs, with every connection to it."""
    def freeze(node):
        pid = storm.world.server_pid(f"rabbitmq{node}")
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)
    return disturb_node(storm, number, mode, seconds, freeze, heals=False)


def cut_node(storm, number, mode, seconds):
    """No byte passes between a node and the two others, in either direction."""
    def cut(node):
        wires = storm.world.wires_of_node(node)
        tell_each(storm, wires, "hold")
        return lambda: tell_each(storm, wires, "pass")
    return disturb_node(storm, number, mode, seconds, cut, heals=mode == "pause_minority")


def tell_each(storm, wires, what):
    for wire in wires:
        storm.world.wires.tell(wire, what)


def disturb_node(storm, number, mode, seconds, disturb, heals):
    """`disturb` returns what undoes it. Afterwards the cluster is whole again; `heals`: by itself."""
    node = 1 + number % NODES

    def work():
        handle_partitions(storm.world, mode)
        undo = disturb(node)
        try:
            storm.pause(seconds)
        finally:
            undo()
            make_whole(storm.world, node, heals)
    return storm.with_server("broker", work)


def handle_partitions(world, mode):
    for node in range(1, NODES + 1):
        world.broker_control("eval", f"application:set_env(rabbit, cluster_partition_handling, {mode}).", node=node)


def make_whole(world, node, heals):
    """As RabbitMQ's manual asks of operators, one side of a partition is started again, unless it paused. A node
    that hung is back too soon to pause, and stays apart."""
    if not heals:
        world.server("stop", "broker", node=node)
        world.server("start", "broker", node=node)
    world.broker_control("await_online_nodes", str(NODES), "--timeout", "60", node=1 + node % NODES)


def draw(rng, fault, mode, seconds):
    return fault, (rng.randrange(NODES), mode, seconds)


FAULTS = (("a broker node hangs", freeze_node), ("a broker node is cut off", cut_node))
DRAWS = {name: (0.3, lambda rng, fault=fault: draw(rng, fault, rng.choice(MODES), rng.choice((1, 4, 12))))
         for name, fault in FAULTS}

# At least once in a run, and so often in a minute.
RARE = {f"{name}, long, {mode}": (0.1, lambda rng, fault=fault, mode=mode: draw(rng, fault, mode, LONG_S))
        for name, fault in FAULTS for mode in MODES}
