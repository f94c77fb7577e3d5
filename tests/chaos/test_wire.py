#!/usr/bin/python3
"""The wires between programs and servers disturb, but never change or reorder what they carry."""

import json
import os
import socket
import subprocess
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 3.0


class Wire(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([os.path.join(HERE, "wire.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        port = self.tell("open", host="127.0.0.1", port=self.server.getsockname()[1])["port"]
        self.client = socket.create_connection(("127.0.0.1", port), 30)
        self.inside, _ = self.server.accept()
        self.inside.settimeout(30)

    def tearDown(self):
        for end in (self.client, self.inside, self.server):
            end.close()
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def tell(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, "wire": "w", **more}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def test_what_goes_in_comes_out_whatever_the_delay_does(self):
        sent, over = bytearray(), threading.Event()

        def talk():
            number = 0
            while not over.is_set():
                number += 1
                chunk = b"%08d" % number
                sent.extend(chunk)
                self.client.sendall(chunk)
                time.sleep(0.0003)
            self.client.shutdown(socket.SHUT_WR)

        talker = threading.Thread(target=talk)
        talker.start()
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            for delay in (0.02, 0.0, 0.005, 0.0):
                self.tell("delay", seconds=delay)
                time.sleep(0.01)
            self.tell("hold")
            time.sleep(0.01)
            self.tell("pass")
        over.set()
        talker.join()
        got = bytearray()
        while len(got) < len(sent):
            got.extend(self.inside.recv(65536))
        self.assertEqual(bytes(got), bytes(sent))

    def test_a_reset_is_felt_at_both_ends(self):
        self.client.sendall(b"hello")
        self.assertEqual(self.inside.recv(5), b"hello")
        self.tell("reset")
        self.client.settimeout(30)
        for end in (self.client, self.inside):
            with self.assertRaises(ConnectionResetError):
                end.recv(1)


if __name__ == "__main__":
    unittest.main()
