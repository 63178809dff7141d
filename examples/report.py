#!/usr/bin/env python3
"""Reports to a page with nothing but Python's standard library:  report.py UUID [HOST PORT]"""
import json
import socket
import sys


class Hub:
    """One packet a line, one answer a line."""

    def __init__(self, host, port):
        self.lines = socket.create_connection((host, port), timeout=10).makefile("rw", encoding="utf-8", newline="\n")

    def ask(self, **packet):
        self.say(**packet)
        return json.loads(self.lines.readline() or sys.exit("The hub closed the connection."))

    def say(self, **packet):
        self.lines.write(json.dumps(packet) + "\n")
        self.lines.flush()


if len(sys.argv) < 2:
    sys.exit("usage: report.py UUID [HOST PORT]")
uuid, host, port = (sys.argv[1:] + ["127.0.0.1", "8097"][len(sys.argv) - 2 :])[:3]

try:
    hub = Hub(host, int(port))
except OSError as error:
    sys.exit(f"No hub at {host}:{port}: {error}")

for step in range(1, 4):
    answer = hub.ask(opcode="feedback", uuid=uuid, message={"percent": step * 100 // 3, "text": f"Schritt {step} – ä😀"})
    # held: the page is reloading, it gets it then.
    if answer["status"] not in ("sent", "held"):
        sys.exit(f"Not sent: {answer['status']} {answer.get('error', {}).get('message', '')}")
hub.say(opcode="quit")
