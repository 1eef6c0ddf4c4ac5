"""Reads a topic once more, from its beginning, an offset or a time to where it ends now. Nobody else notices.

What to watch out for:
- `assign` instead of `subscribe`: partitions are there at once, so seeking works at once, and no group is joined
  whose places would be moved. A consumer that has subscribed can't seek before `poll` has brought its assignment.
- The end is asked for at the start. Without an end a replay never ends, for `for message in consumer` waits for
  more.
- Transactions and compaction leave gaps in the offsets, so the end is where `position` has come to, not a count.
- Times are those of the records, in milliseconds; a partition without a record so late has nothing to replay.
- A replay that is to survive a restart: use orders_consumer with a `--group` of its own, which starts at the
  beginning.

Needs: pip install "kafka-python>=3"
"""

import argparse
from datetime import datetime

from kafka import KafkaConsumer, TopicPartition


def seek(consumer: KafkaConsumer, places: list[TopicPartition], start: str) -> None:
    """Moves to `beginning`, an offset in every partition, or an ISO 8601 time."""
    if start == "beginning":
        consumer.seek_to_beginning(*places)
    elif start.isdecimal():
        for place, oldest in consumer.beginning_offsets(places).items():
            consumer.seek(place, max(int(start), oldest))
    else:
        time_ms = round(datetime.fromisoformat(start).timestamp() * 1_000)
        found = consumer.offsets_for_times(dict.fromkeys(places, time_ms))
        consumer.seek_to_end(*places)
        for place, first in found.items():
            if first is not None:
                consumer.seek(place, first.offset)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--from", dest="start", default="beginning", metavar="beginning|OFFSET|TIME")
    chosen = options.parse_args()

    with KafkaConsumer(bootstrap_servers=chosen.bootstrap_server, enable_auto_commit=False) as consumer:
        places = [TopicPartition(chosen.topic, number) for number in consumer.partitions_for_topic(chosen.topic) or ()]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        seek(consumer, places, chosen.start)
        replayed = 0
        left = {place for place in places if consumer.position(place) < ends[place]}
        while left:
            for place, records in consumer.poll(timeout_ms=1_000).items():
                for record in records:
                    if record.offset < ends[place]:
                        print(place.partition, record.offset, record.timestamp, record.value.decode(errors="replace"))
                        replayed += 1
            left = {place for place in left if consumer.position(place) < ends[place]}
    print(f"replayed {replayed} records")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped")
