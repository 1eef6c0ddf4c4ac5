"""Makes a topic with the partitions and settings that it should have.

What to watch out for:
- A topic that a program uses without making it first comes into being by itself, with one partition unless the
  server's `num.partitions` says otherwise: then one worker of a group has everything to do and the others nothing.
- The number of partitions can be raised later, but then keys move to other partitions, and the order of a key's
  records is only kept from there on. So choose it first: the most workers that you will ever want.
- Records go when their retention ends, after a week unless `retention.ms` says otherwise, worked on or not.

Needs: pip install "kafka-python>=3"
"""

import argparse
import sys

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("topic", nargs="+")
    options.add_argument("--partitions", type=int, default=3)
    options.add_argument("--config", action="append", default=[], metavar="NAME=VALUE", help="such as retention.ms=-1")
    chosen = options.parse_args()
    configs = dict(setting.split("=", 1) for setting in chosen.config)

    with KafkaAdminClient(bootstrap_servers=chosen.bootstrap_server) as admin:
        for topic in chosen.topic:
            try:
                admin.create_topics({topic: {"num_partitions": chosen.partitions, "configs": configs}})
            except TopicAlreadyExistsError:
                found = len(admin.describe_topics([topic])[0]["partitions"])
                print(f"{topic} is there already, with {found} partitions")
            except KafkaError as error:
                sys.exit(f"{topic} was not made: {error}")
            else:
                print(f"made {topic} with {chosen.partitions} partitions")


if __name__ == "__main__":
    main()
