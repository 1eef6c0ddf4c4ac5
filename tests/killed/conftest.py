"""Verifying a data directory as users do."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from logserver.cli import main

Verify = Callable[[Path, Counter[str]], None]


@pytest.fixture
def verify() -> Verify:
    """Runs `logserver verify`, which must find nothing, and counts what it notes."""

    def run(path: Path, notes: Counter[str]) -> None:
        result = CliRunner().invoke(main, ["verify", str(path), "--json", "--jobs", "1"])
        assert result.exit_code == 0, result.output
        for note in json.loads(result.stdout)["notes"]:
            notes[note["text"].rpartition(";")[2].strip()] += 1

    return run
