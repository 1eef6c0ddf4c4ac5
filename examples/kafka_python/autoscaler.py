"""Runs as many workers of a group as its lag asks for: starts some when it grows, ends them when it is gone.

The workers are processes of orders_group, and the lag is that of consumer_lag. What to watch out for:
- More workers than partitions are of no use, so that is the most there will be.
- Up at once, down one at a time: each change deals the partitions out anew, and while that goes on nobody works. A
  scaler that follows every change of the lag makes things slower.
- A worker is asked to end (SIGTERM) and then finishes its batch, commits and leaves. Killed, its partitions would
  stand still until the session times out.
- A worker that dies is replaced by the next round. One that dies again and again is a bad record, not a lack of
  workers: this ends after `--most-deaths`.

Needs: pip install "kafka-python>=3"
"""

import argparse
import math
import signal
import subprocess
import sys
import threading

from kafka.admin import KafkaAdminClient
from kafka.errors import RetriableError

from .consumer_lag import lags


def wanted(lag: int, running: int, lag_per_worker: int, least: int, most: int) -> int:
    """How many workers there should be: enough for the lag at once, fewer only by one at a time."""
    enough = max(least, min(most, math.ceil(lag / lag_per_worker)))
    return enough if enough >= running else running - 1


class Workers:
    """Processes of a program; all alike."""

    def __init__(self, command: list[str]) -> None:
        self.deaths = 0
        self._command = command
        self._running: list[subprocess.Popen[bytes]] = []

    def count(self) -> int:
        """How many are running now."""
        dead = [one for one in self._running if one.poll() is not None]
        self._running = [one for one in self._running if one not in dead]
        self.deaths += len(dead)
        return len(self._running)

    def become(self, count: int) -> None:
        """Starts or ends some, so that there are so many."""
        while len(self._running) < count:
            self._running.append(subprocess.Popen(self._command))
        leaving = self._running[count:]
        del self._running[count:]
        for worker in leaving:
            worker.terminate()
        for worker in leaving:
            worker.wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--group", default="order-workers")
    options.add_argument("--lag-per-worker", type=int, default=1_000)
    options.add_argument("--least", type=int, default=1, metavar="N", help="workers that always run")
    options.add_argument("--every", type=float, default=5, metavar="SECONDS", help="how often to look")
    options.add_argument("--most-deaths", type=int, default=5, metavar="N")
    options.add_argument("--exit-when-done", action="store_true", help="end when nothing is left, not at Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    server = ["--bootstrap-server", chosen.bootstrap_server]
    program = [sys.executable, "-m", "examples.kafka_python.orders_group"]
    workers = Workers([*program, *server, "--topic", chosen.topic, "--group", chosen.group])
    try:
        with KafkaAdminClient(bootstrap_servers=chosen.bootstrap_server) as admin:
            while not stopping.is_set():
                try:
                    found = lags(admin, chosen.group, chosen.topic)
                except RetriableError as error:  # such as while the server restarts
                    print(f"the lag is not known now: {error}", flush=True)
                    stopping.wait(chosen.every)
                    continue
                lag, running = sum(found.values()), workers.count()
                if workers.deaths > chosen.most_deaths:
                    sys.exit(f"{workers.deaths} workers have died: look at what they print")
                if chosen.exit_when_done and lag == 0:
                    break
                count = wanted(lag, running, chosen.lag_per_worker, chosen.least, len(found))
                if count != running:
                    print(f"{lag} behind: {running} -> {count} workers", flush=True)
                    workers.become(count)
                stopping.wait(chosen.every)
    finally:
        workers.become(0)
    print("all workers have left")


if __name__ == "__main__":
    main()
