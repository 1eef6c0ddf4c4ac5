"""Publishes news, of which every subscriber gets a copy: publish and subscribe.

Each subscriber has a queue of its own, so one that is slow or away keeps its news, and holds up nobody; several
processes with the same subscriber's name share its work. The publisher sends to all queues in one transaction: all of
them get a piece of news, or none does. What to watch out for:
- Who has not subscribed yet does not get what was published before. A subscription is its queue, not its process: it
  goes on collecting until the queue and its topic are deleted.
- There are as many copies as subscribers. Where there are many, or news are large, or newcomers want what was there
  before them, let them read one topic, each as a consumer group of its own (docs/groups.md).
- A transactional id belongs to one publisher at a time: a second one with the same id takes over, and the first fails.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import json
import signal
import threading

from logserver_client import Producer, Queue, Queues

PREFIX = "news."


def publish(server: str, publisher: str, headlines: list[str]) -> None:
    """Sends headlines to all who have subscribed by now."""
    with Queues(server) as queues:
        subscribers = [queue.name for queue in queues.list() if queue.declared and queue.name.startswith(PREFIX)]
    with Producer(server, transactional_id=publisher) as producer:
        for headline in headlines:
            with producer.transaction():
                for name in subscribers:
                    producer.send(name, json.dumps({"headline": headline}).encode())
            print(f"published to {len(subscribers)} subscribers: {headline}", flush=True)


def subscribe(server: str, name: str, most: int | None, stopping: threading.Event) -> None:
    """Prints what is published from now on, or since this name has subscribed."""
    with Queues(server) as queues:
        queues.declare(PREFIX + name)
    count = 0
    with Queue(server, PREFIX + name) as queue, queue.consume(prefetch=10) as messages:
        print(f"{name} has subscribed", flush=True)
        while not stopping.is_set() and count != most:
            message = messages.get(timeout=0.5)
            if message is not None:
                print(f"{name}: {json.loads(message.value or b'')['headline']}", flush=True)
                message.ack()
                count += 1


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("action", choices=["publish", "subscribe"])
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--publisher", default="newsroom", metavar="ID", help="transactional id of who publishes")
    options.add_argument("--headline", action="append", metavar="TEXT", help="what to publish; repeatable")
    options.add_argument("--subscriber", default="web", metavar="NAME")
    options.add_argument("--max", type=int, metavar="N", help="end after so many; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    if chosen.action == "publish":
        publish(chosen.server, chosen.publisher, chosen.headline or ["nothing has happened"])
    else:
        subscribe(chosen.server, chosen.subscriber, chosen.max, stopping)


if __name__ == "__main__":
    main()
