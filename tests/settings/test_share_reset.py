"""`share.auto.offset.reset`: where a share group begins."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.settings import ShareReset, parse_share_reset

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("text", "reset"),
    [
        ("earliest", ShareReset("earliest")),
        ("latest", ShareReset("latest")),
        ("by_duration:PT1H", ShareReset("by_duration", HOUR_MS)),
        ("by_duration:P2DT3H4M5.678S", ShareReset("by_duration", 51 * HOUR_MS + 245_678)),
        ("by_duration:P1D", ShareReset("by_duration", 24 * HOUR_MS)),
        ("by_duration:PT0S", ShareReset("by_duration")),
        ("by_duration:PT0.0019S", ShareReset("by_duration", 1)),
        ("by_duration:pt90m", ShareReset("by_duration", 90 * 60_000)),
    ],
)
def test_what_a_text_says(text: str, reset: ShareReset) -> None:
    assert parse_share_reset(text) == reset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "Earliest",
        "by_duration",
        "by_duration:",
        "by_duration:P",
        "by_duration:PT",
        "by_duration:P1DT",
        "by_duration:1H",
        "by_duration:PT-1H",
        "by_duration:-PT1H",
        "by_duration:P1Y",
        "by_duration:PT1.5H",
        "by_duration:PT1H ",
        "by_duration:P" + "9" * 30 + "D",
    ],
)
def test_what_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_share_reset(text)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_share_reset(f"by_duration:{text}").duration_ms >= 0
