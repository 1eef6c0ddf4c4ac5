"""Asks a queue for work now and then, and holds what it gets for a limited time: long polling, visibility timeout.

For who can't keep a connection: a script that cron runs, a function that is started by a request. What to watch out
for:
- A message that is not settled when its lock ends goes to somebody else. Ask for a lock that is longer than the work
  takes nearly always, and `extend` it when it takes longer after all.
- With `wait` the server answers when there is something, or when the time is over: fewer calls than asking at once
  again and again, and no delay.
- `handle` is all that is needed to settle a message, in this process or in another one.
- Acknowledged too late, by somebody who does not have it any more, raises MessageLost: what was done may be done again.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import signal
import threading

from logserver_client import MessageLost, Queue, Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="jobs")
    options.add_argument("--send", type=int, default=0, metavar="N", help="first send so many jobs")
    options.add_argument("--lock", type=float, default=30, metavar="SECONDS")
    options.add_argument("--wait", type=float, default=2, metavar="SECONDS", help="for the first of some messages")
    options.add_argument("--exit-at-end", action="store_true", help="end when none has come in that time")
    options.add_argument("--max", type=int, help="end after so many messages; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    with Queues(chosen.server) as queues:
        queues.declare(chosen.queue)
    count = 0
    with Queue(chosen.server, chosen.queue) as queue:
        queue.send_many([b"job %d" % number for number in range(1, chosen.send + 1)]).result()
        while not stopping.is_set() and count != chosen.max:
            most = 10 if chosen.max is None else min(10, chosen.max - count)
            messages = queue.receive(most, wait=chosen.wait, lock=chosen.lock)
            if not messages and chosen.exit_at_end:
                break
            for message in messages:
                print(f"{(message.value or b'').decode()}, delivery {message.deliveries}", flush=True)
                # The work is done here; in the middle of it, now and then: message.extend(chosen.lock)
            try:
                queue.ack([message.handle for message in messages], wait=True)
            except MessageLost as error:
                print(f"too late: {error}", flush=True)
            count += len(messages)
    print(f"done with {count} jobs")


if __name__ == "__main__":
    main()
