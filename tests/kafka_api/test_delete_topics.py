"""DeleteTopics: by name and by id, and what is named twice."""

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.testing import LogServer

from .admin import TIMEOUT, create
from .raw_client import DELETE_TOPICS, METADATA, RawClient, served_versions

UNKNOWN_ID = "AAAAAAAAAAAAAAAAAAAAZw"


def topics_of(client: RawClient) -> list[str]:
    return [topic.name for topic in client.call(METADATA, 12, {"topics": None}).topics]


def delete(client: RawClient, *asked: tuple[str | None, str]) -> list[Struct]:
    """Deletes topics by (name, id); returns the results."""
    topics = [{"name": name, "topic_id": topic_id} for name, topic_id in asked]
    results: list[Struct] = client.call(DELETE_TOPICS, 6, {"topics": topics, **TIMEOUT}).responses
    return results


@pytest.mark.parametrize("version", served_versions(DELETE_TOPICS))
def test_by_name(client: RawClient, version: int) -> None:
    create(client, {"name": "t"}, {"name": "other"})
    asked = {"topics": [{"name": "t"}]} if version >= 6 else {"topic_names": ["t"]}
    (result,) = client.call(DELETE_TOPICS, version, {**asked, **TIMEOUT}).responses
    assert (result.name, result.error_code) == ("t", 0)
    assert topics_of(client) == ["other"]


def test_by_id(client: RawClient) -> None:
    (made,) = create(client, {"name": "t"})
    (result,) = delete(client, (None, made.topic_id))
    assert (result.name, result.topic_id, result.error_code) == ("t", made.topic_id, 0)
    assert topics_of(client) == []


@pytest.mark.parametrize(
    ("name", "topic_id", "code"),
    [
        ("no", ZERO_UUID, ErrorCode.unknown_topic_or_partition),
        ("a b", ZERO_UUID, ErrorCode.unknown_topic_or_partition),
        (None, UNKNOWN_ID, ErrorCode.unknown_topic_id),
        (None, ZERO_UUID, ErrorCode.invalid_request),
        ("t", UNKNOWN_ID, ErrorCode.invalid_request),
    ],
)
def test_what_is_not_there(client: RawClient, name: str | None, topic_id: str, code: ErrorCode) -> None:
    create(client, {"name": "t"})
    (result,) = delete(client, (name, topic_id))
    assert (result.name, result.topic_id, result.error_code) == (name, topic_id, code.value)
    assert topics_of(client) == ["t"]


def test_what_is_named_twice_stays(client: RawClient) -> None:
    first, second = (create(client, {"name": name})[0].topic_id for name in ("a", "b"))
    results = delete(client, ("a", ZERO_UUID), ("a", ZERO_UUID), (None, second), (None, second))
    assert [(result.name, result.topic_id, result.error_code) for result in results] == [
        ("a", ZERO_UUID, ErrorCode.invalid_request.value),
        (None, second, ErrorCode.invalid_request.value),
    ]
    (result,) = delete(client, (None, first), ("a", ZERO_UUID))
    assert (result.name, result.topic_id, result.error_code) == ("a", first, ErrorCode.invalid_request.value)
    assert topics_of(client) == ["a", "b"]


def test_internal_topics_stay(server: LogServer, client: RawClient) -> None:
    server.call(lambda daemon: daemon.broker.create_internal_topic("__consumer_offsets", 1, {}))
    (result,) = delete(client, ("__consumer_offsets", ZERO_UUID))
    assert result.error_code == ErrorCode.invalid_topic_exception.value
    assert topics_of(client) == ["__consumer_offsets"]


def test_without_time_nothing_is_deleted(client: RawClient) -> None:
    create(client, {"name": "t"})
    response = client.call(DELETE_TOPICS, 6, {"topics": [{"name": "t"}], "timeout_ms": 0})
    assert response.responses[0].error_code == ErrorCode.request_timed_out.value
    assert topics_of(client) == ["t"]
