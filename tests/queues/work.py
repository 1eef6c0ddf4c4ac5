"""Works on a queue until it is killed: python -m tests.queues.work GRPC QUEUE FILE.

Writes what happens as it happens: 'g' and a message when it is given, 'a' and a message when its acknowledgement is
durable; times are those since the machine started, the same for all processes.
"""

import sys
import time
from struct import Struct
from typing import Final

from logserver_client import LogServerError, Queue

ENTRY: Final = Struct(">cdiqi")
"""What, when, partition, offset, deliveries."""


def main(address: str, name: str, path: str) -> None:
    with open(path, "ab", buffering=0) as story, Queue(address, name) as queue:
        for batch in queue.consume(prefetch=200).batches():
            at = time.monotonic()
            story.write(b"".join(ENTRY.pack(b"g", at, each.partition, each.offset, each.deliveries) for each in batch))
            try:
                queue.ack(batch, wait=True)
            except LogServerError:
                # Given to somebody else meanwhile, or the server is gone: what became of it, others tell.
                continue
            at = time.monotonic()
            story.write(b"".join(ENTRY.pack(b"a", at, each.partition, each.offset, each.deliveries) for each in batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
