"""Counts measurements from a queue, each at most once: a message is done as soon as it is delivered.

The fastest way, for what may get lost: measurements, of which there will be a newer one soon. What to watch out for:
- What was delivered and not yet worked on is gone when the program dies or its connection breaks, and nobody notices.
  That can be as much as `prefetch`.
- Nothing can be said of such a message, so it is neither tried again nor a dead letter.
- It is "at most once" only for who reads. A sender that sends again because it was not sure sends two messages;
  `Queue.send` does not, as its producer is idempotent.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import signal
import threading

from logserver_client import Queue, Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="measurements")
    options.add_argument("--send", type=int, default=0, metavar="N", help="first send so many measurements")
    options.add_argument("--prefetch", type=int, default=100, metavar="N")
    options.add_argument("--max", type=int, help="end after so many messages; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    with Queues(chosen.server) as queues:
        queues.declare(chosen.queue)
    count = total = 0
    with Queue(chosen.server, chosen.queue) as queue:
        queue.send_many([b"%d" % number for number in range(1, chosen.send + 1)]).result()
        with queue.consume(prefetch=chosen.prefetch, auto_ack=True) as messages:
            while not stopping.is_set() and count != chosen.max:
                message = messages.get(timeout=0.5)
                if message is not None:
                    count += 1
                    total += int(message.value or b"0")
                    print(f"{count} measurements, {total} in all", flush=True)


if __name__ == "__main__":
    main()
