"""Works on orders as they come, and remembers its place by itself (automatic commits).

Start it again and it goes on where it was. What to watch out for:
- With automatic commits kafka-python commits, every `auto_commit_interval_ms`, what the loop has gone past. A
  program that is killed sees the records since then again: work must bear being done twice. It never skips one, as
  long as the work is done inside the loop; handing records to a thread and going on breaks that (see
  ordered_workers).
- `auto_offset_reset` is only for a group without a committed place. The default is `latest`: a new group misses what
  was sent before its first start. `earliest` starts at the oldest record.
- JSON is read in the loop, not by a `value_deserializer`: that one raises inside the consumer, where the program can't
  say which record was bad, nor go past it.
- Leaving the `with` commits and says goodbye, so that the group does not wait for this member. Leaving it by an
  exception, such as Ctrl-C, does not commit: the record at hand may be half done.

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
from itertools import islice
from typing import Any

from kafka import KafkaConsumer


def process(order: dict[str, Any]) -> None:
    print(f"order {order['order']} of {order['customer']}: {order['amount_cents'] / 100:.2f}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--group", default="order-processor")
    options.add_argument("--max", type=int, help="end after so many orders; otherwise go on until Ctrl-C")
    chosen = options.parse_args()

    with KafkaConsumer(
        chosen.topic,
        bootstrap_servers=chosen.bootstrap_server,
        group_id=chosen.group,
        auto_offset_reset="earliest",
        enable_auto_commit=True,
    ) as consumer:
        for message in islice(consumer, chosen.max):
            process(json.loads(message.value))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped")
