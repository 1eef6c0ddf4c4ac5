"""Apache Kafka and this server are asked the same: nothing differs but what the compatibility page explains."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SECONDS = 540
_CANNOT_HAVE_KAFKA = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def _script(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.differential", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )


def test_every_difference_is_explained() -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("Apache Kafka needs java and mvn, and this machine has none")
    done = _script()
    if done.returncode == _CANNOT_HAVE_KAFKA:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_help_tells_how_to_begin() -> None:
    done = _script("--help")
    assert done.returncode == 0
    for said in ("make differential", "--only", "--json", "--show", "Exit code", "docs/compatibility.md"):
        assert said in done.stdout
