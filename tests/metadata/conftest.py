"""A metadata store on a real data directory, opened again and again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.harness import FakeClock, HeldCommitter

from .stores import StoreBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[StoreBox]:
    """A directory whose store commits at once."""
    box = StoreBox(tmp_path / "data")
    yield box
    box.close()


@pytest.fixture
def clock(box: StoreBox) -> FakeClock:
    return box.clock


@pytest.fixture
def held(tmp_path: Path) -> Iterator[StoreBox]:
    """A directory whose store commits when the test says so."""
    box = StoreBox(tmp_path / "data", HeldCommitter())
    yield box
    box.close()
