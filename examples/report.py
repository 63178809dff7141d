#!/usr/bin/env python3
"""Reports to a page with nothing but Python's standard library:  report.py UUID [HOST PORT]"""
import json
import socket
import sys

uuid = sys.argv[1]
address = (sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", int(sys.argv[3]) if len(sys.argv) > 3 else 8097)


class Hub:
    """One packet a line, one answer a line."""

    def __init__(self, address):
        self.lines = socket.create_connection(address, timeout=10).makefile("rw", encoding="utf-8", newline="\n")

    def ask(self, **packet):
        self.lines.write(json.dumps(packet) + "\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline())
        if answer.get("status") == "refused":
            raise RuntimeError(answer["error"]["message"])
        return answer


hub = Hub(address)
for step in range(1, 4):
    answer = hub.ask(opcode="feedback", uuid=uuid, message={"at": step, "of": 3, "text": "Schritt – ä😀"})
    if answer["status"] == "gone":
        sys.exit("The page has gone.")
hub.lines.write('{"opcode":"quit"}\n')
hub.lines.flush()
