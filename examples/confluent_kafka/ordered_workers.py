"""Works on several records of a partition at a time, in order within each key, and commits only what is done.

One loop works on one record at a time. When the work is waiting (for a service, a disk), threads help: each key has
its thread, so that the records of a key stay in order. What to watch out for:
- Records are done in another order than they were read, but an offset stands for all before it. What may be
  committed is the oldest record not done yet, even when later ones are.
- Committing when a record is handed to a thread loses what the threads have not done when the program dies.
- What is under way is bounded. When the threads hang at the bound, the partitions are paused and `poll` goes on,
  which keeps this member in its group (`max.poll.interval.ms`). Not each time, for pausing throws away what was
  prefetched.
- Before a partition is given up the threads finish what they have of it; its next owner must not work beside them.

Needs: pip install confluent-kafka
"""

import argparse
import json
import signal
import threading
import time
import zlib
from queue import SimpleQueue

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

Place = tuple[str, int]


def work(message: Message, work_ms: float) -> None:
    time.sleep(work_ms / 1_000)  # stands for a call to another service
    event = json.loads(message.value() or b"")
    print(f"done {event['account']} {event['number']}\n", end="", flush=True)  # one piece: other threads print, too


class Workers:
    """Threads, each with keys of its own, and what they have under way."""

    def __init__(self, count: int, work_ms: float) -> None:
        self.failure: BaseException | None = None
        self._work_ms = work_ms
        self._changed = threading.Condition()
        self._under_way: dict[Place, set[int]] = {}
        self._next: dict[Place, int] = {}
        """The offset behind the last record handed out, by partition."""
        self._queues: list[SimpleQueue[Message | None]] = [SimpleQueue() for _ in range(count)]
        self._threads = [threading.Thread(target=self._run, args=(queue,)) for queue in self._queues]
        for thread in self._threads:
            thread.start()

    def hand_out(self, message: Message) -> None:
        place, offset = place_of(message), message.offset() or 0
        with self._changed:
            self._under_way.setdefault(place, set()).add(offset)
            self._next[place] = offset + 1
        self._queues[zlib.crc32(message.key() or b"") % len(self._queues)].put(message)

    def have_room(self, most: int, timeout_s: float) -> bool:
        """Waits until fewer records than that are under way; returns whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: sum(map(len, self._under_way.values())) < most, timeout_s)

    def finish(self, places: list[Place]) -> None:
        """Returns when nothing of these partitions is under way, or some work has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self.failure or not any(self._under_way.get(place) for place in places))

    def take_done(self, places: list[Place] | None = None) -> list[TopicPartition]:
        """The offsets to commit: of each partition that of the oldest record that is not done."""
        with self._changed:
            return [
                TopicPartition(*place, min(self._under_way[place], default=behind))
                for place, behind in self._next.items()
                if places is None or place in places
            ]

    def forget(self, places: list[Place]) -> None:
        with self._changed:
            for place in places:
                self._next.pop(place, None)
                self._under_way.pop(place, None)

    def close(self) -> None:
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, queue: SimpleQueue[Message | None]) -> None:
        while (message := queue.get()) is not None:
            if self.failure is not None:
                continue
            try:
                work(message, self._work_ms)
            except BaseException as error:  # told to the main thread, which ends; the record stays uncommitted
                self.failure = error
            with self._changed:
                if self.failure is None:
                    self._under_way.get(place_of(message), set()).discard(message.offset() or 0)
                self._changed.notify_all()


def place_of(message: Message) -> Place:
    return message.topic() or "", message.partition() or 0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="events")
    options.add_argument("--group", default="ordered-workers")
    options.add_argument("--threads", type=int, default=8)
    options.add_argument("--most-under-way", type=int, default=200)
    options.add_argument("--work-ms", type=float, default=1, help="how long the work on one record takes")
    options.add_argument("--commit-ms", type=float, default=1_000, help="time between two commits")
    options.add_argument("--max", type=int, help="end after so many events; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    workers = Workers(chosen.threads, chosen.work_ms)

    def revoked(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(place.topic, place.partition) for place in partitions]
        workers.finish(places)
        done = workers.take_done(places)
        if done:
            consumer.commit(offsets=done, asynchronous=False)
        workers.forget(places)

    def lost(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        workers.forget([(place.topic, place.partition) for place in partitions])

    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap_server,
            "group.id": chosen.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([chosen.topic], on_revoke=revoked, on_lost=lost)
    handed_out = 0
    paused = False
    last_commit = time.monotonic()
    try:
        while not stopping and workers.failure is None and handed_out != chosen.max:
            if workers.have_room(chosen.most_under_way, timeout_s=1):
                if paused:
                    consumer.resume(consumer.assignment())
                    paused = False
                message = consumer.poll(0.5)
            else:
                consumer.pause(consumer.assignment())
                paused = True
                message = consumer.poll(0)
            if time.monotonic() - last_commit > chosen.commit_ms / 1_000 and (done := workers.take_done()):
                consumer.commit(offsets=done)
                last_commit = time.monotonic()
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise KafkaException(error)
                print(f"trouble, going on: {error}", flush=True)
                continue
            workers.hand_out(message)
            handed_out += 1
    finally:
        consumer.close()  # calls `revoked`
        workers.close()
    if workers.failure is not None:
        raise workers.failure


if __name__ == "__main__":
    main()
