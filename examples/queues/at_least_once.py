"""Writes the messages of a queue to a file, each at least once: first the line is on disk, then it is acknowledged.

Messages come and are acknowledged in batches, so that the disk is waited for once a batch. What to watch out for:
- A program that dies between the disk and `ack` leaves lines that come again: here a line may be there twice, but none
  is missing. Where twice is wrong, see effectively_once.
- `ack` returns at once. Only `flush` (or `wait=True`) says that it is durable, and raises MessageLost when messages
  were not held any more, because the connection broke or a lock ran out: those come again.
- The larger the batch, the faster, and the more that comes again.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import os
import signal
import threading
from pathlib import Path

from logserver_client import Message, MessageLost, Queue, Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="audit")
    options.add_argument("--send", type=int, default=0, metavar="N", help="first send so many messages")
    options.add_argument("--file", type=Path, default=Path("audit.log"))
    options.add_argument("--batch", type=int, default=100, metavar="N", help="messages that are written together")
    options.add_argument("--max", type=int, help="end after so many messages; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    with Queues(chosen.server) as queues:
        queues.declare(chosen.queue)
    count = 0
    with Queue(chosen.server, chosen.queue) as queue, chosen.file.open("ab") as file:
        queue.send_many([b"event %d" % number for number in range(1, chosen.send + 1)]).result()
        with queue.consume(prefetch=chosen.batch) as messages:
            while not stopping.is_set() and count != chosen.max:
                batch: list[Message] = []
                most = chosen.batch if chosen.max is None else min(chosen.batch, chosen.max - count)
                # Waits for the first; the others are those that are here already.
                while len(batch) < most and (message := messages.get(timeout=0 if batch else 0.5)) is not None:
                    batch.append(message)
                if not batch:
                    continue
                file.writelines((message.value or b"") + b"\n" for message in batch)
                file.flush()
                os.fsync(file.fileno())
                print(f"wrote {len(batch)} lines", flush=True)
                try:
                    messages.ack(batch, wait=True)
                except MessageLost as error:
                    print(f"some will come again: {error}", flush=True)
                count += len(batch)


if __name__ == "__main__":
    main()
