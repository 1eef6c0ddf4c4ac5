"""Work that is spread over processes, of which one is killed."""

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from logserver.cli import checking, main
from logserver.cli.failures import CommandFailed
from logserver.cli.spreading import spread

from . import stored


def doubled(number: int) -> int:
    return 2 * number


def killed(number: int) -> int:
    """Is killed, as the kernel does where memory runs out."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def killed_at_once(task: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_task_is_done_once(jobs: int) -> None:
    assert sorted(spread(doubled, range(50), jobs)) == [(number, 2 * number) for number in range(50)]


def test_a_process_that_is_killed_ends_it_in_a_sentence() -> None:
    with pytest.raises(CommandFailed, match="--jobs 1"):
        list(spread(killed, range(10), 2))


def test_verify_has_not_found_anything_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "check_one", killed_at_once)
    result = CliRunner().invoke(main, ["verify", str(stored.make(tmp_path / "data", is_killed=False)), "--jobs", "2"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--jobs 1" in result.stderr and len(result.stderr.splitlines()) == 1
