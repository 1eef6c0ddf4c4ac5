"""docs/compatibility.md is what the APIs' own files say."""

import json
from pathlib import Path

from logserver.kafka_api.docs import page
from logserver.kafka_api.registry import APIS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
OTHER_CLIENTS = Path(__file__).parents[1] / "other_clients"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m logserver.kafka_api.docs > docs/compatibility.md"


def test_every_api_says_what_it_does_not_do() -> None:
    for api in APIS.values():
        assert f"| {api.key} | {api.name} |" in page()


def test_the_clients_are_of_the_versions_that_are_fetched() -> None:
    kafkajs = json.loads((OTHER_CLIENTS / "kafkajs" / "package.json").read_text())["dependencies"]["kafkajs"]
    assert f"| KafkaJS | {kafkajs} |" in page()
    (java,) = [line for line in page().splitlines() if line.startswith("| Apache Kafka's Java clients")]
    version = java.split(" | ")[1]
    assert f"<kafka.version>{version}</kafka.version>" in (OTHER_CLIENTS / "kafka" / "pom.xml").read_text()
