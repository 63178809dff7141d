"""Lets a test decide when a job does what: a line of standard input is a step, a line of standard output says what came of it."""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[2] / "tcp-client" / "python"))
from signalbox import Error, Job  # noqa: E402


def say(line):
    print(line, flush=True)


def drive(job):
    for line in sys.stdin:
        step, *words = line.rstrip("\n").split(" ", 3)
        at, of, message = (words + [None] * 3)[:3]
        text = message and message.replace("\\n", "\r\n")
        if step == "progress":
            job.progress(*(None if word == "-" else int(word) for word in (at, of)), text)
            say("gone" if job.gone else "go")
        elif step == "done":
            job.result = {"rows": 7}
            return
        elif step == "failed":
            job.failed(text)
            return


try:
    with Job(*sys.argv[1:], title="Driven", timeout=1) as job:
        drive(job)
    say(f"stop {job.reason}" if job.cancelled else "ended")
except Error as error:
    say(f"error {error}")
    sys.exit(1)
