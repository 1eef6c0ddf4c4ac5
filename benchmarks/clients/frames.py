"""Requests to the Kafka door as they travel, made before anything is measured."""

from collections.abc import Mapping
from struct import Struct
from typing import Any, Final

from logserver.kafka_api.codec import header_is_flexible, write_request

PRODUCE: Final = 0
FETCH: Final = 1
METADATA: Final = 3
API_VERSIONS: Final = 18

VERSION: Final = 12
"""Of Produce and Fetch: the last that names topics."""
SIZE: Final = Struct(">i")
"""What stands before each frame."""
_HEAD: Final = Struct(">hhih")
_CLIENT_ID: Final = b"benchmark"


def frame(api_key: int, version: int, message: Mapping[str, Any], correlation_id: int = 0) -> bytes:
    """Returns a whole request, its length included."""
    tags = b"\x00" if header_is_flexible(api_key, version) else b""
    head = _HEAD.pack(api_key, version, correlation_id, len(_CLIENT_ID))
    whole = b"".join((head, _CLIENT_ID, tags, write_request(api_key, version, message)))
    return SIZE.pack(len(whole)) + whole


def hello() -> tuple[bytes, bytes]:
    """Returns what clients begin with: the versions of all APIs, then what there is."""
    versions = {"client_software_name": "benchmark", "client_software_version": "1"}
    return frame(API_VERSIONS, 3, versions), frame(METADATA, 12, {"topics": (), "allow_auto_topic_creation": False})


def produce(topic: str, partition: int, batch: bytes, *, acks: int) -> bytes:
    """Returns a request that puts one batch into one partition."""
    data = [{"name": topic, "partition_data": [{"index": partition, "records": batch}]}]
    message = {"transactional_id": None, "acks": acks, "timeout_ms": 30_000, "topic_data": data}
    return frame(PRODUCE, VERSION, message)


def fetch(topic: str, partition: int, offset: int) -> bytes:
    """Returns a request of what one partition has from an offset on, without a session, that does not wait."""
    asked = {
        "partition": partition,
        "current_leader_epoch": -1,
        "fetch_offset": offset,
        "last_fetched_epoch": -1,
        "log_start_offset": -1,
        "partition_max_bytes": 1 << 20,
    }
    message = {
        "max_wait_ms": 0,
        "min_bytes": 1,
        "max_bytes": 50 << 20,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "topics": [{"topic": topic, "partitions": [asked]}],
        "forgotten_topics_data": (),
        "rack_id": "",
    }
    return frame(FETCH, VERSION, message)
