"""Where a share group begins in a partition of which nothing has been delivered to it: `share.auto.offset.reset`."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

ResetKind: TypeAlias = Literal["earliest", "latest", "by_duration"]

_DURATION: Final = re.compile(
    r"by_duration:P(?=[0-9T])(?:(?P<days>[0-9]+)D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]+)H)?(?:(?P<minutes>[0-9]+)M)?(?:(?P<seconds>[0-9]+(?:\.[0-9]{1,9})?)S)?)?",
    re.IGNORECASE,
)
_MOST_MS: Final = 2**63 - 1


class ShareReset(NamedTuple):
    """A start; the duration, in milliseconds, is how far back `by_duration` begins, and 0 otherwise."""

    kind: ResetKind
    duration_ms: int = 0


def parse_share_reset(text: str) -> ShareReset:
    """Returns what a setting's text says.

    Raises:
        ValueError: it says nothing.

    Source: KIP-932; Apache Kafka: `ShareGroupAutoOffsetResetStrategy`. Durations are ISO 8601's PnDTnHnMn.nS.
    """
    if text == "earliest":
        return ShareReset("earliest")
    if text == "latest":
        return ShareReset("latest")
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(
            "it is `earliest`, `latest`, or `by_duration:` and a duration as ISO 8601 has it, as by_duration:PT1H30M"
        )
    days, hours, minutes = (int(found[part] or 0) for part in ("days", "hours", "minutes"))
    whole, _, fraction = (found["seconds"] or "0").partition(".")
    seconds = ((days * 24 + hours) * 60 + minutes) * 60 + int(whole)
    duration_ms = seconds * 1000 + int(f"{fraction}000"[:3])
    if duration_ms > _MOST_MS:
        raise ValueError("the duration is longer than 292 million years")
    return ShareReset("by_duration", duration_ms)


def check_share_reset(text: str) -> None:
    """As `parse_share_reset`, for the check only."""
    parse_share_reset(text)
