"""Works on the tasks of a queue; start as many as you like, on as many machines.

Each task goes to one worker, and with `prefetch=1` to one that has nothing to do: a slow worker gets fewer tasks. What
to watch out for:
- A larger prefetch is faster where tasks are short, as the next is here when one is done; but tasks wait behind a slow
  one while other workers have nothing to do.
- First the work, then `ack`. When a worker dies its task goes to another, which may see it done already, or half.
- `redelivered` says that somebody may have had the task before. It is not only true of failures: after a crash of the
  server nobody knows what was delivered.
- A signal lets the task in hand be finished. What was not acknowledged at the end is given back by closing.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import json
import signal
import threading

from logserver_client import Queue, Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="tasks")
    options.add_argument("--prefetch", type=int, default=1, metavar="N")
    options.add_argument("--seconds", type=float, default=0.01, help="how long this worker takes for a task")
    options.add_argument("--max", type=int, help="end after so many tasks; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    with Queues(chosen.server) as queues:
        queues.declare(chosen.queue)
    count = 0
    with Queue(chosen.server, chosen.queue) as queue, queue.consume(prefetch=chosen.prefetch) as messages:
        print("waiting for tasks", flush=True)
        while not stopping.is_set() and count != chosen.max:
            message = messages.get(timeout=0.5)
            if message is None:
                continue
            task = json.loads(message.value or b"")
            again = ", which somebody had before" if message.redelivered else ""
            print(f"task {task['task']}{again}", flush=True)
            threading.Event().wait(chosen.seconds)  # where your work would be
            message.ack()
            count += 1
    print(f"done with {count} tasks")


if __name__ == "__main__":
    main()
