"""Shows the dead letters of a queue and why they are there, and sends them back when the cause is gone.

What to watch out for:
- First look, then correct what was wrong, then redrive: otherwise they are tried as often as before, and come back.
- Not everything is worth it: choose by `--reason` or `--key`. The rest stays where it is until its retention ends.
- All at once is a load that nobody expects: `--per-second` gives the workers time for what is new.
- They go to the end of their queue, behind what was sent since. Who works on them has to bear that they are old.
- A redrive ends with the program that asked for it; what it has moved is moved, and asking again goes on.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import signal
import threading

from logserver_client import Queues


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="mails", help="the queue whose dead letters these are")
    options.add_argument("--redrive", action="store_true", help="send them back")
    options.add_argument("--reason", metavar="TEXT", help="only those with this reason, exactly")
    options.add_argument("--key", metavar="TEXT", help="only those with this key")
    options.add_argument("--per-second", type=float, default=0, metavar="N", help="not more; 0: as fast as it goes")
    options.add_argument("--max", type=int, default=0, metavar="N", help="at most so many; 0: all that are there")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    with Queues(chosen.server) as queues:
        # What has failed for good is moved by the server, which takes a moment.
        while (queue := queues.describe(chosen.queue)).counts.moving and not stopping.wait(0.1):
            refused = [partition.move_refusal for partition in queue.partitions if partition.move_refusal]
            if refused:
                print(f"{queue.counts.moving} more are not there yet: {refused[0]}")
                break
        dead = queue.policy.dead_letter_topic
        for letter in queues.peek(dead, 1_000):
            about = {name: (value or b"").decode(errors="replace") for name, value in letter.headers}
            reason, deliveries = about.get("logserver.reason"), about.get("logserver.deliveries")
            print(f"{(letter.key or b'').decode()}: {reason}, after {deliveries} deliveries", flush=True)
        if chosen.redrive:
            moved = skipped = 0
            for progress in queues.redrive(
                dead,
                key=None if chosen.key is None else chosen.key.encode(),
                headers=() if chosen.reason is None else [("logserver.reason", chosen.reason.encode())],
                messages_per_second=chosen.per_second,
                max_messages=chosen.max,
            ):
                moved, skipped = progress.moved, progress.skipped
                if stopping.is_set():
                    break
            print(f"sent back {moved}, left {skipped}")


if __name__ == "__main__":
    main()
