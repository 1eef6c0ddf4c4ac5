"""One of several workers that share a topic. Run it in as many terminals as there should be workers.

Each partition has one of the workers as its owner. When a worker comes, leaves or dies, the partitions are dealt out
anew, and the next owner goes on at the last commit. What to watch out for:
- Never more workers than partitions: the rest would idle.
- Ctrl-C or SIGTERM: finish the batch at hand, commit, leave the group. The others take over at once. A worker that
  dies is only missed after `session_timeout_ms` (45 s by default).
- `--instance NAME` makes the worker a static member: killed and started again under the same name it has its
  partitions back at once, without the others noticing. Each worker needs a name of its own.
- A commit that comes too late, after the partitions went to someone else, raises an error. Nothing is lost: the next
  owner works on those records again.
- `assignment()` is empty right after the constructor: partitions arrive during `poll`, and the listener is told.

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import signal
from collections.abc import Collection

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError


class Owned(ConsumerRebalanceListener):
    """Says which partitions come and go."""

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        print("owns", *sorted(found.partition for found in assigned), flush=True)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        # Called inside `poll`, when all of the batch before it is done and committed: nothing is left to do.
        if revoked:
            print("gives up", *sorted(found.partition for found in revoked), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--group", default="order-workers")
    options.add_argument("--instance", metavar="NAME", help="be this static member of the group")
    options.add_argument("--session-timeout-ms", type=int, default=45_000, help="when a dead worker is missed")
    options.add_argument("--max", type=int, help="end after at least so many orders; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    done = 0
    with KafkaConsumer(
        bootstrap_servers=chosen.bootstrap_server,
        group_id=chosen.group,
        group_instance_id=chosen.instance,
        session_timeout_ms=chosen.session_timeout_ms,
        heartbeat_interval_ms=min(3_000, chosen.session_timeout_ms // 3),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=50,
    ) as consumer:
        consumer.subscribe([chosen.topic], listener=Owned())
        while not stopping and (chosen.max is None or done < chosen.max):
            batch = consumer.poll(timeout_ms=1_000)
            for records in batch.values():
                for record in records:
                    order = json.loads(record.value)
                    print(f"partition {record.partition} offset {record.offset} order {order['order']}", flush=True)
                    done += 1
            try:
                if batch:
                    consumer.commit()
            except (CommitFailedError, RebalanceInProgressError) as error:
                print(f"not committed, the next owner does these again: {error}", flush=True)
    print(f"left the group after {done} orders")


if __name__ == "__main__":
    main()
