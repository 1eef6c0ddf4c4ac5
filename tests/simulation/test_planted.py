"""The proof bites: the simulation finds every fault that is planted, and docs/guarantees.md says with which seed."""

import subprocess
from pathlib import Path

import pytest

from . import planted
from .planted import FAULTS, PAGE, ROOT, Found, find, is_stale, meaning, names, plant, row, seeds

# Those that go through the fewest seeds; all of them take minutes.
QUICK = ("missing-directory-fsync", "marker-lost", "stale-epoch-accepted")
MORE_SEEDS = 12


def test_every_fault_is_in_the_page_with_the_run_that_finds_it() -> None:
    assert sorted(seeds()) == names() and len(names()) >= 15
    page = PAGE.read_text()
    assert all(meaning(name) in page for name in names())


@pytest.mark.parametrize("name", names())
def test_every_fault_can_be_planted(name: str) -> None:
    command = ["git", "apply", "--check", "-C1", str(FAULTS / f"{name}.patch")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.long) for name in names()]
)
@pytest.mark.timeout(1200)
def test_every_fault_is_found(name: str) -> None:
    found = find(name, seeds()[name], 1)
    if name in QUICK:
        # What is sent when follows from the code, too: these, which run at every change of it, may take another seed.
        assert found is not None or find(name, 1, MORE_SEEDS) is not None
    else:
        assert not is_stale(name, found), f"`python -m tests.simulation.planted {name}` prints the row as it has to be"


def test_rows_that_do_not_hold_any_more_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same, later, other, missed, new = names()[:5]
    found = {same: Found(2, "a: x"), later: Found(3, "a: x"), other: Found(2, "b: x"), new: Found(1, "a: x")}
    page = tmp_path / "page.md"
    page.write_text("\n".join(row(name, Found(2, "a: y")) for name in (same, later, other, missed)))
    monkeypatch.setattr(planted, "PAGE", page)

    def find(name: str, first: int = 1, count: int = 60) -> Found | None:
        one = found.get(name)
        return one if one is not None and first <= one.seed < first + count else None

    monkeypatch.setattr(planted, "find", find)
    monkeypatch.setattr("sys.argv", ["planted", same, later, other, missed, new])
    assert planted.main() == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [row(name, found.get(name)) for name in (same, later, other, missed, new)]
    assert printed.err.splitlines()[-1] == f"stale in page.md: {later}, {other}, {missed}, {new}"
    monkeypatch.setattr("sys.argv", ["planted", same])
    assert (planted.main(), capsys.readouterr().err) == (0, "rows that hold: 1\n")


def test_a_patch_that_does_not_fit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faults").mkdir()
    text = (FAULTS / f"{QUICK[0]}.patch").read_text().replace("sync_directory", "sunk_directory")
    (tmp_path / "faults" / "odd.patch").write_text(text)
    monkeypatch.setattr("tests.simulation.planted.FAULTS", tmp_path / "faults")
    with pytest.raises(subprocess.CalledProcessError):
        plant("odd", tmp_path / "copy")
