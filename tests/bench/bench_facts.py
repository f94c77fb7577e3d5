"""On what machine, with which versions and how durably it was measured: all read back, not assumed."""

import ctypes
import os
import platform
import re
import subprocess

import pika


def _first_line(*command):
    try:
        text = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout
        return text.strip().splitlines()[0] if text.strip() else ""
    except OSError:
        return ""


def _package(name):
    return _first_line("dpkg-query", "-W", "-f", "${Version}", name)


def _field(path, pattern):
    with open(path, encoding="utf-8") as source:
        found = re.search(pattern, source.read(), re.M)
    return found.group(1).strip() if found else ""


def machine():
    memory = int(_field("/proc/meminfo", r"^MemTotal:\s*(\d+)") or 0)
    return {"cpu": _field("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"),
            "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory / 1048576, 1),
            "kernel": platform.release(),
            "system": _field("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)')}


def versions(stack, root):
    connection = pika.BlockingConnection(pika.URLParameters(stack.direct["CHECKOUT_AMQP_URL"]))
    broker = connection._impl.server_properties["version"]  # pylint: disable=protected-access
    connection.close()
    return {"checkout": _first_line("git", "-C", root, "describe", "--always", "--dirty"),
            "postgresql": stack.one("show server_version"),
            "rabbitmq": broker.decode() if isinstance(broker, bytes) else broker,
            "redis": stack.redis().info("server")["redis_version"],
            "librabbitmq": _package("librabbitmq4"), "libmicrohttpd": _package("libmicrohttpd12"),
            "compiler": _first_line("cc", "--version")}


def durability(stack):
    """The servers' own word for it. Raises if something is weaker than in production."""
    found = {f"postgresql {name}": stack.one(f"show {name}")
             for name in ("fsync", "synchronous_commit", "full_page_writes")}
    weak = [name for name, value in found.items() if value != "on"]
    found["queue type"] = _queue_type(stack)
    if found["queue type"] != "quorum":
        weak.append("queue type")
    if weak:
        raise RuntimeError(f"measuring with weakened durability is refused: {weak} in {found}")
    return found


def _queue_type(stack):
    """Declaring again with other arguments answers 406 and says what one of them really is, in no
    certain order: that one is then given as it is, until the complaint is about the type."""
    stack.ctl("topology")
    arguments = {"x-queue-type": "classic"}
    connection = pika.BlockingConnection(pika.URLParameters(stack.direct["CHECKOUT_AMQP_URL"]))
    try:
        for _ in range(16):
            complaint = _declare_complaint(connection, stack.broker.queue(0), arguments)
            if complaint is None:
                return "classic"
            found = _INEQUIVALENT.search(complaint)
            if found is None:
                return complaint
            name, value, kind = found.groups()
            if name == "x-queue-type":
                return value
            arguments[name] = value == "true" if kind == "bool" else value if kind == "longstr" else int(value)
        return complaint
    finally:
        connection.close()


_INEQUIVALENT = re.compile(
    r"inequivalent arg '([\w-]+)'.* current is (?:the value )?'([^']*)'(?: of type '(\w+)')?")


def _declare_complaint(connection, queue, arguments):
    try:
        connection.channel().queue_declare(queue, durable=True, arguments=arguments)
        return None
    except pika.exceptions.ChannelClosedByBroker as closed:
        return closed.reply_text


def message_is_persistent(stack, shard):
    """Looks at the first message of a filled queue, and leaves it there."""
    connection = pika.BlockingConnection(pika.URLParameters(stack.direct["CHECKOUT_AMQP_URL"]))
    try:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        _, properties, _ = next(channel.consume(stack.broker.queue(shard), inactivity_timeout=5))
        return properties is not None and properties.delivery_mode == 2
    finally:
        connection.close()  # gives the message back; as long as it is open, we are the queue's one consumer


_CACHESTAT = 451  # Linux 6.5 and later


def unsynced_pages(path):
    """Pages of a file that are not on the disk yet, or None where the kernel cannot tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    whole = (ctypes.c_uint64 * 2)(0, 0)
    found = (ctypes.c_uint64 * 5)()  # cached, dirty, under writeback, evicted, recently evicted
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.syscall(_CACHESTAT, descriptor, whole, found, 0) != 0:
            return None
        return found[1] + found[2]
    finally:
        os.close(descriptor)
