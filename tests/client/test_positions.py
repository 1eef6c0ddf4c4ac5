"""A user's position as it travels."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from logserver_client import Timestamp
from logserver_client._positions import position_message, time_position


def test_words_offsets_and_times_have_their_fields() -> None:
    assert position_message("earliest").WhichOneof("at") == "earliest"
    assert position_message("latest").WhichOneof("at") == "latest"
    assert position_message(0).offset == 0
    assert position_message(Timestamp(5)).timestamp == 5
    assert time_position(5).timestamp == 5


def test_a_datetime_is_a_moment_whatever_its_zone() -> None:
    moment = datetime(2013, 1, 1, 5, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-5)))
    assert position_message(moment).timestamp == 1_357_016_400_000 == position_message(elsewhere).timestamp


def test_a_datetime_keeps_its_milliseconds() -> None:
    assert position_message(datetime(2024, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)).timestamp % 1000 == 123


@pytest.mark.parametrize("position", [-1, "newest", datetime(2013, 1, 1)])
def test_what_makes_no_sense_is_a_value_error(position: object) -> None:
    with pytest.raises(ValueError):
        position_message(position)  # type: ignore[arg-type]


@pytest.mark.parametrize("position", [True, 1.5, None])
def test_another_type_is_a_type_error(position: object) -> None:
    with pytest.raises(TypeError):
        position_message(position)  # type: ignore[arg-type]
