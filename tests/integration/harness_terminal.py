"""checkoutctl at a terminal of its own."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

from harness_daemon import program

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def at_terminal(rows, columns, environment, *words):
    """The process when it has ended (`returncode`, `stderr`), and what people see: its text without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen([program("checkoutctl"), *words], stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):      # it has ended
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    stderr = process.communicate(timeout=30)[1].decode()
    return (subprocess.CompletedProcess(process.args, process.returncode, stderr=stderr),
            COLOUR.sub("", seen.decode().replace("\r\n", "\n")))
