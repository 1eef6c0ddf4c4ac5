"""Settings that can't be are refused with their name and their range."""

from typing import Any

import pytest
from logserver_client import replay
from logserver_client._consume.config import consumer_config
from logserver_client._produce.config import producer_config


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"acks": 2}, "acks"),
        ({"acks": True}, "acks"),
        ({"acks": 1, "idempotent": True}, "idempotent=True needs"),
        ({"linger_ms": -1}, "linger_ms is a number of at least 0"),
        ({"batch_size": 0}, "batch_size is a number of at least 1"),
        ({"batch_size": "1"}, "batch_size"),
        ({"max_in_flight": 6}, "max_in_flight is at most 5"),
        ({"batch_size": 1 << 20, "buffer_memory": 1 << 19}, "over buffer_memory"),
        ({"batch_size": 1 << 25}, "over max_request_size"),
        ({"linger_ms": 10, "delivery_timeout_ms": 5}, "over delivery_timeout_ms"),
        ({"compression": "rar"}, "rar"),
        ({"compression": "zstd", "compression_level": 1000}, "1000"),
    ],
)
def test_wrong_producer_settings_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        producer_config("host:1", None, None, **settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"auto_offset_reset": "none"}, "auto_offset_reset"),
        ({"buffer_bytes": 0}, "buffer_bytes is a number of at least 1"),
        ({"max_poll_records": None}, "max_poll_records"),
        ({"group_id": ""}, "group_id is a text"),
        ({"group_id": "g", "max_poll_interval_ms": 0}, "max_poll_interval_ms is a number of at least 1"),
        ({"group_id": "g", "auto_commit_interval_ms": "1"}, "auto_commit_interval_ms"),
        ({"group_id": "g", "assignor": "sticky"}, "assignor"),
        ({"group_instance_id": "i"}, "need a group_id"),
    ],
)
def test_wrong_consumer_settings_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        consumer_config("host:1", None, None, **settings)


def test_the_reset_of_a_group_is_kafkas_and_that_of_a_reader_is_an_error() -> None:
    assert consumer_config("host:1", None, None).auto_offset_reset == "error"
    assert consumer_config("host:1", None, None, group_id="g").auto_offset_reset == "latest"
    assert consumer_config("host:1", None, None, group_id="g", auto_offset_reset="error").auto_offset_reset == "error"


def test_a_replay_is_in_no_group() -> None:
    with pytest.raises(ValueError, match="in no group"):
        replay("host:1", "t", group_id="g")  # type: ignore[call-overload]


def test_an_unknown_setting_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="linger"):
        producer_config("host:1", None, None, linger=5)  # type: ignore[call-arg]


def test_idempotence_follows_acks_unless_it_is_asked_for() -> None:
    assert producer_config("host:1", None, None).idempotent
    assert not producer_config("host:1", None, None, acks=1).idempotent
    assert not producer_config("host:1", None, None, acks=0).idempotent
    assert not producer_config("host:1", None, None, idempotent=False, max_in_flight=50).idempotent
