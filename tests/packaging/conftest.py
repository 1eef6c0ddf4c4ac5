"""The distribution, built once from the source tree as it would be for publishing."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Distribution(NamedTuple):
    """The two files that would be published."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The source archive of the tree, and the wheel built from that archive."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return Distribution(next(folder.glob("*.tar.gz")), next(folder.glob("*.whl")))
