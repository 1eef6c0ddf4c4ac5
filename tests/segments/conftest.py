"""What the log says, for tests that look at it."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from logserver_segments.logs import EVENT, FIELDS


class Lines:
    """The lines of the engine's log so far."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def of(self, event: str) -> list[dict[str, Any]]:
        """The fields of each line of an event."""
        return [getattr(record, FIELDS) for record in self._caplog.records if getattr(record, EVENT, None) == event]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """Collects the log lines of the engine, from INFO on."""
    with caplog.at_level(logging.INFO, "logserver.segments"):
        yield Lines(caplog)
