"""Short ways to ask for what many parts ask."""

from collections.abc import Mapping
from typing import Any

from ..keys import Key
from ..session import Answer, Session


def produce_message(topic: str, records: bytes | None, partition: int = 0, **more: Any) -> dict[str, Any]:
    """Returns a Produce request for one partition; `topic` is a name, or an id for version 13."""
    data = [{"index": partition, "records": records}]
    topics = [{"name": topic, "topic_id": topic if len(topic) == 22 else "A" * 22, "partition_data": data}]
    return {"acks": -1, "timeout_ms": 20_000, "topic_data": topics, **more}


def produce(
    s: Session, label: str, topic: str, records: bytes | None, partition: int = 0, *, version: int = 12, **more: Any
) -> Answer:
    """Produces to one partition."""
    return s.ask(label, Key.PRODUCE, version, produce_message(topic, records, partition, **more))


def stored(s: Session, topic: str, *batches: bytes, partition: int = 0) -> None:
    """Produces what is to be stored, as a preparation.

    Raises:
        RuntimeError: it is not stored.
    """
    for records in batches:
        answer = s.quiet(Key.PRODUCE, 12, produce_message(topic, records, partition))
        if answer["responses"][0]["partition_responses"][0]["error_code"] != "NONE":
            raise RuntimeError(f"not stored: {answer}")


def fetch_message(
    topic: str, offset: int = 0, partition: int = 0, *, partition_max: int = 1_000_000, **more: Any
) -> dict[str, Any]:
    """Returns a Fetch request for one partition; `topic` is a name, or an id for versions from 13 on."""
    asked = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": partition_max}
    asked |= {name: more.pop(name) for name in ("current_leader_epoch", "last_fetched_epoch") if name in more}
    topics = [{"topic": topic, "topic_id": topic if len(topic) == 22 else "A" * 22, "partitions": [asked]}]
    whole = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 10_000_000, "session_epoch": -1, "topics": topics}
    return whole | more


def fetch(s: Session, label: str, topic: str, offset: int = 0, *, version: int = 12, **more: Any) -> Answer:
    """Fetches from one partition."""
    return s.ask(label, Key.FETCH, version, fetch_message(topic, offset, **more))


def list_offset(s: Session, label: str, topic: str, timestamp: int, *, version: int = 9, **more: Any) -> Answer:
    """Asks for an offset of partition 0."""
    partition = {"partition_index": 0, "timestamp": timestamp, "current_leader_epoch": -1} | more
    message = {"replica_id": -1, "topics": [{"name": topic, "partitions": [partition]}]}
    return s.ask(label, Key.LIST_OFFSETS, version, message)


def describe(
    s: Session, label: str, kind: int, name: str, *names: str, version: int = 4, synonyms: bool = True
) -> Answer:
    """Describes settings of one resource; all of them where none is named."""
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": list(names) or None}
    message = {"resources": [resource], "include_synonyms": synonyms}
    return s.ask(label, Key.DESCRIBE_CONFIGS, version, message)


def configs(settings: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Returns settings as CreateTopics takes them."""
    return [{"name": name, "value": value} for name, value in settings.items()]
