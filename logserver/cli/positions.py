"""The places in a log that --from and --to name: earliest, latest, an offset, or a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import click

from logserver.cli.options import Function

if TYPE_CHECKING:
    from logserver_client import Timestamp

FIRST_TIMESTAMP_MS: Final = 10**12
"""Integers below are offsets, from here on milliseconds since the epoch (the 9th of September 2001)."""

INT64_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """A place in every partition of a topic; `number` is an offset or milliseconds since the epoch."""

    kind: Literal["earliest", "latest", "offset", "timestamp"]
    number: int = 0

    def position(self) -> ClientPosition:
        """The same in the client's terms."""
        if self.kind == "timestamp":
            from logserver_client import Timestamp

            return Timestamp(self.number)
        return self.number if self.kind == "offset" else self.kind

    def __str__(self) -> str:
        if self.kind == "timestamp":
            return f"timestamp {self.number}"
        return f"offset {self.number}" if self.kind == "offset" else self.kind


ClientPosition: TypeAlias = "Literal['earliest', 'latest'] | int | Timestamp"


def parse_place(text: str) -> Place:
    """Reads `earliest`, `latest`, an integer or an ISO-8601 time (UTC unless it says otherwise).

    A time between two milliseconds counts as the later one: no record of the earlier is at or after it.
    Raises ValueError with a sentence.
    """
    text = text.strip()
    if text == "earliest":
        return Place("earliest")
    if text == "latest":
        return Place("latest")
    if text.isascii() and text.removeprefix("-").isdigit():
        if text.startswith("-"):
            raise ValueError("an offset is at least 0")
        number = int(text[:20])
        if number > INT64_MAX:
            raise ValueError("that number is too large for an offset or a time")
        return Place("offset" if number < FIRST_TIMESTAMP_MS else "timestamp", number)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            "write earliest, latest, an offset, milliseconds since the epoch (from 10^12 on) "
            "or an ISO-8601 time such as 2013-06-01T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = -((_EPOCH - moment) // timedelta(milliseconds=1))
    if milliseconds < 0:
        raise ValueError("times before 1970 can't be looked for")
    return Place("timestamp", milliseconds)


def place_option(*names: str, **attributes: Any) -> Callable[[Function], Function]:
    """An option of click whose value is a Place, None if it is not given and has no default."""
    return click.option(*names, metavar="earliest|latest|OFFSET|TIMESTAMP", callback=_place, **attributes)


def _place(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Place | None:
    if value is None:
        return None
    try:
        return parse_place(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}.") from None
