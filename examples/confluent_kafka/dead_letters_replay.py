"""Brings dead letters back into the topic they came from, when what was wrong has been put right.

Run it once; it ends at the end of the dead letters, and a group remembers which it has dealt with. What to watch out
for:
- It ends where the dead letters ended when it started. Otherwise a record that fails again would go round for ever.
- `replays` in the headers counts the rounds; `--most-replays` leaves those alone that keep failing.
- `--reason TEXT` brings back only what failed for that reason, and leaves the others for good: choose another
  `--group` to look at them again.
- First sent, then committed: a crash in between sends some of them twice, so work must bear being done twice.

Needs: pip install confluent-kafka
"""

import argparse
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition


class Replay:
    """Sends dead letters back to where they came from."""

    def __init__(self, producer: Producer, reason: str, most_replays: int) -> None:
        self.sent = 0
        self.left = 0
        self._producer = producer
        self._reason = reason
        self._most_replays = most_replays
        self._failures: list[KafkaError] = []

    def handle(self, letter: Message) -> None:
        own: list[tuple[str, bytes]] = []
        about: dict[str, str] = {}
        replays = 0
        for name, value in cast(list[tuple[str, bytes]], letter.headers() or []):
            if name == "replays":
                replays = int(value)
            elif name.startswith("dead-letter-"):
                about[name.removeprefix("dead-letter-")] = value.decode()
            else:
                own.append((name, value))
        if self._reason not in about["reason"] or replays >= self._most_replays:
            self.left += 1
            return
        self.sent += 1
        self._producer.produce(
            about["topic"],
            letter.value(),
            letter.key(),
            headers=[*own, ("replays", b"%d" % (replays + 1))],
            on_delivery=self._delivered,
        )

    def wait(self) -> None:
        """Returns when all that was sent is stored; raises KafkaException if some was not."""
        self._producer.flush()
        if self._failures:
            raise KafkaException(self._failures[0])

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failures.append(error)


def replay_all(consumer: Consumer, topic: str, replay: Replay) -> None:
    """Deals with the dead letters that are there now, then commits."""
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    places = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=10)
    ends = {place.partition: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
    for place in places:
        if place.offset < 0:
            place.offset = OFFSET_BEGINNING
    # Nobody shares this work: partitions are assigned by hand, and the group only serves to remember offsets.
    consumer.assign(places)
    reading = set(ends)
    while reading:
        letter = consumer.poll(1)
        if letter is None:
            continue
        partition, error = letter.partition() or 0, letter.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        if error is not None or (letter.offset() or 0) >= ends[partition]:
            reading.discard(partition)
        else:
            replay.handle(letter)
    replay.wait()
    consumer.commit(offsets=[TopicPartition(topic, *place) for place in ends.items()], asynchronous=False)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--dead-letter-topic", default="orders.dead")
    options.add_argument("--group", default="orders.dead.replay")
    options.add_argument("--reason", default="", metavar="TEXT", help="only those whose reason has this in it")
    options.add_argument("--most-replays", type=int, default=3)
    chosen = options.parse_args()

    producer = Producer({"bootstrap.servers": chosen.bootstrap_server, "enable.idempotence": True})
    replay = Replay(producer, chosen.reason, chosen.most_replays)
    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap_server,
            "group.id": chosen.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        replay_all(consumer, chosen.dead_letter_topic, replay)
    finally:
        consumer.close()
    print(f"{replay.sent} dead letters brought back, {replay.left} left")


if __name__ == "__main__":
    main()
