"""Sends tasks to a queue, for task_worker to work on.

What to watch out for:
- The queue is declared before it is used. That can be done again and again, and changes what is said differently.
- `send` returns at once. Whether a task is stored is known when its future has a result; look at every one of them, or
  a task that was refused is gone without a word.
- A task says what is to be done, and holds what is needed for it. What is large goes elsewhere, and its name into the
  task.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import json

from logserver_client import Queue, Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="tasks")
    options.add_argument("--count", type=int, default=10, metavar="N", help="how many tasks")
    chosen = options.parse_args()

    with Queues(chosen.server) as queues:
        queues.declare(chosen.queue)
    with Queue(chosen.server, chosen.queue) as queue:
        tasks = [{"task": number, "image": f"image-{number}.png"} for number in range(1, chosen.count + 1)]
        sent = [queue.send(json.dumps(task).encode()) for task in tasks]
        for future in sent:
            future.result()
    print(f"sent {len(sent)} tasks")


if __name__ == "__main__":
    main()
