"""Runs as many workers of a queue as there is work: starts some when it grows, ends them when it is done.

The workers are processes of task_worker. What to watch out for:
- What counts is what is ready and what is being worked on. Counting only what is ready would end the workers that have
  taken the last tasks. What rests until its next try needs no worker yet.
- Any number of workers share a partition: the most is what the machine, or the database behind them, can bear.
- A worker is asked to end (SIGTERM) and finishes its task. Killed, its task would be done again by another.
- A worker that dies is replaced by the next round. If they die again and again, look at what they print: this ends
  after `--most-deaths`. A queue with `max_deliveries` gets rid of a task that kills its workers.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import math
import signal
import subprocess
import sys
import threading

from logserver_client import LogServerError, Queues


def wanted(waiting: int, in_flight: int, per_worker: int, least: int, most: int) -> int:
    """How many workers there should be for so many tasks."""
    return max(least, min(most, math.ceil((waiting + in_flight) / per_worker)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="tasks")
    options.add_argument("--per-worker", type=int, default=100, metavar="N", help="tasks that one worker is enough for")
    options.add_argument("--least", type=int, default=0, metavar="N", help="workers that always run")
    options.add_argument("--most", type=int, default=4, metavar="N")
    options.add_argument("--every", type=float, default=5, metavar="SECONDS", help="how often to look")
    options.add_argument("--most-deaths", type=int, default=5, metavar="N")
    options.add_argument("--exit-when-done", action="store_true", help="end when nothing is left, not at Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    program = [sys.executable, "-m", "examples.queues.task_worker"]
    command = [*program, "--server", chosen.server, "--queue", chosen.queue]
    workers: list[subprocess.Popen[bytes]] = []
    leaving: list[subprocess.Popen[bytes]] = []
    deaths = 0
    try:
        with Queues(chosen.server) as queues:
            while not stopping.is_set():
                try:
                    counts = queues.describe(chosen.queue).counts
                except LogServerError as error:
                    if not error.retriable:
                        raise
                    print(f"what is waiting is not known now: {error}", flush=True)  # such as while the server restarts
                    stopping.wait(chosen.every)
                    continue
                alive = [worker for worker in workers if worker.poll() is None]
                deaths += len(workers) - len(alive)
                workers[:] = alive
                leaving[:] = [worker for worker in leaving if worker.poll() is None]
                if deaths > chosen.most_deaths:
                    sys.exit(f"{deaths} workers have died: look at what they print")
                if chosen.exit_when_done and not (counts.ready or counts.in_flight or counts.delayed):
                    break
                count = wanted(counts.ready, counts.in_flight, chosen.per_worker, chosen.least, chosen.most)
                if count != len(workers):
                    print(
                        f"{counts.ready} ready, {counts.in_flight} in flight: {len(workers)} -> {count} workers",
                        flush=True,
                    )
                while len(workers) < count:
                    workers.append(subprocess.Popen(command))
                while len(workers) > count:
                    # Not waited for yet: its task may take long.
                    leaving.append(workers.pop())
                    leaving[-1].terminate()
                stopping.wait(chosen.every)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in [*workers, *leaving]:
            worker.wait()
    print("all workers have left")


if __name__ == "__main__":
    main()
