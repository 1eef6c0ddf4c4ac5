"""What consumers tell each other, as far as a coordinator reads it."""

from struct import pack

import pytest

from logserver.coordinator.consumer_protocol import topics_of

from .classic_support import subscription


def test_topics_of_a_subscription() -> None:
    assert topics_of(subscription()) == []
    assert topics_of(subscription("a", "über")) == ["a", "über"]


def test_later_versions_begin_as_the_first_does() -> None:
    owned = pack(">i", 0)
    assert topics_of(pack(">h", 3) + subscription("a")[2:] + owned) == ["a"]


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"\x00",
        pack(">hi", -1, 0),
        pack(">hi", 0, -1),
        pack(">hi", 0, 2**31 - 1),
        pack(">hih", 0, 1, -1),
        pack(">hih", 0, 1, 5) + b"abc",
        pack(">hih", 0, 1, 1) + b"\xff",
    ],
)
def test_anything_else_is_none(metadata: bytes) -> None:
    assert topics_of(metadata) is None


def test_cut_short_it_is_none() -> None:
    whole = subscription("abc", "d")
    names_end = len(whole) - 4
    for end in range(names_end):
        assert topics_of(whole[:end]) is None
    assert topics_of(whole[:names_end]) == ["abc", "d"]
