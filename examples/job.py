#!/usr/bin/env python3
"""A job with nothing but Python's standard library and one file:  job.py UUID"""
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tcp-client" / "python"))
from signalbox import Job  # noqa: E402

if len(sys.argv) < 2:
    sys.exit("usage: job.py UUID")
books = ["Börne", "Čapek", "Σαπφώ", "Emoji 😀"]

with Job(sys.argv[1], "import", title="Import of authors") as job:
    for at, book in enumerate(books):
        job.progress(at, len(books), f"Reading {book}")  # raises Cancelled, which leaves the `with`
        time.sleep(float(os.environ.get("JOB_STEP", "0.5")))
    job.result = {"authors": len(books)}
