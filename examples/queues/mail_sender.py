"""Sends mails to a queue, for mail_worker to deliver; and says how often and when they are to be tried.

What to watch out for:
- How a queue treats its messages is said once, where it is declared, and not by each worker. Declared again without a
  policy, a queue keeps it.
- Rests that double go from seconds to hours in a dozen attempts: think about how long trouble may last, and what a
  mail is worth after that. `retry_jitter` keeps those that failed together from coming back together.
- Without `max_deliveries` a message that can't be worked on is tried for ever; without a `dead_letter_topic` it is
  dropped when it was tried often enough.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import json

from logserver_client import Queue, Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="mails")
    options.add_argument("--to", action="append", metavar="NAME", help="who gets a mail; repeatable")
    options.add_argument("--tries", type=int, default=3, metavar="N", help="then it goes to the dead letters")
    options.add_argument("--retry-delay", type=float, default=1, metavar="SECONDS", help="rest after the first failure")
    options.add_argument("--longest-delay", type=float, default=600, metavar="SECONDS")
    chosen = options.parse_args()

    with Queues(chosen.server) as queues:
        queues.declare(
            chosen.queue,
            max_deliveries=chosen.tries,
            retry_delay=chosen.retry_delay,
            retry_factor=2,
            retry_delay_max=chosen.longest_delay,
            retry_jitter=0.2,
            dead_letter_topic=f"{chosen.queue}.dead",
        )
    names = chosen.to or ["ada", "grace"]
    with Queue(chosen.server, chosen.queue) as queue:
        mails = [json.dumps({"to": name, "text": f"Good morning, {name}"}).encode() for name in names]
        for future in [queue.send(mail, key=name.encode()) for name, mail in zip(names, mails, strict=True)]:
            future.result()
    print(f"sent {len(names)} mails")


if __name__ == "__main__":
    main()
