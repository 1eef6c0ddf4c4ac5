"""Says how far a group is behind, by partition; exits with 1 when that is too far, for a monitor or a cron job.

What to watch out for:
- Lag is the log end offset minus the committed offset: it moves when the group commits, not when it works.
- A partition without a committed offset counts from the oldest record there is, as `auto_offset_reset="earliest"`
  would.
- One large partition among empty ones is a key that has everything, or a record that its worker can't get past. More
  workers help neither.
- A lag that grows tells more than a large one; so compare two runs (`--watch`). With retention by time, a lag older
  than that is loss.

Needs: pip install "kafka-python>=3"
"""

import argparse
import sys
import time

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import RetriableError


def lags(admin: KafkaAdminClient, group: str, topic: str) -> dict[int, int]:
    """How many records each partition of a topic has that the group has not committed."""
    partitions = [found["partition_index"] for found in admin.describe_topics([topic])[0]["partitions"]]
    places = [TopicPartition(topic, number) for number in sorted(partitions)]
    committed = admin.list_group_offsets({group: places})[group]
    starts = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
    ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    found = {}
    for place in places:
        offset = committed[place].offset if place in committed else -1
        found[place.partition] = ends[place].offset - max(offset, starts[place].offset)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--group", default="order-workers")
    options.add_argument("--alert-above", type=int, metavar="N", help="exit with 1 when the lag is larger")
    options.add_argument(
        "--watch", type=float, metavar="SECONDS", help="look again and again, until Ctrl-C or an alert"
    )
    chosen = options.parse_args()

    with KafkaAdminClient(bootstrap_servers=chosen.bootstrap_server) as admin:
        before = None
        while True:
            try:
                found = lags(admin, chosen.group, chosen.topic)
            except RetriableError as error:  # such as while the server restarts
                if chosen.watch is None:
                    sys.exit(f"the lag of {chosen.group} is not known now: {error}")
                print(f"the lag of {chosen.group} is not known now: {error}", flush=True)
                time.sleep(chosen.watch)
                continue
            total = sum(found.values())
            change = "" if before is None else f" ({total - before:+d})"
            by_partition = ", ".join(f"{number}: {lag}" for number, lag in found.items())
            print(f"{chosen.group} is {total} behind{change}; by partition {by_partition}", flush=True)
            if chosen.alert_above is not None and total > chosen.alert_above:
                sys.exit(f"{chosen.group} is {total} records behind on {chosen.topic}, more than {chosen.alert_above}")
            if chosen.watch is None:
                return
            before = total
            time.sleep(chosen.watch)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped")
