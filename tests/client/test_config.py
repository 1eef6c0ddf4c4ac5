"""Settings that can't be are refused with their name and their range."""

from typing import Any

import pytest
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
    ],
)
def test_wrong_consumer_settings_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        consumer_config("host:1", None, None, **settings)


def test_an_unknown_setting_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="linger"):
        producer_config("host:1", None, None, linger=5)  # type: ignore[call-arg]


def test_idempotence_follows_acks_unless_it_is_asked_for() -> None:
    assert producer_config("host:1", None, None).idempotent
    assert not producer_config("host:1", None, None, acks=1).idempotent
    assert not producer_config("host:1", None, None, acks=0).idempotent
    assert not producer_config("host:1", None, None, idempotent=False, max_in_flight=50).idempotent
