"""Getting the flights without running any code of the archive they are in."""

from pathlib import Path

import pytest

from examples.flights.archive import ArchiveError, flights_zip
from examples.flights.metadata_only import get_requires_for_build_wheel, prepare_metadata_for_build_wheel


def test_the_metadata_is_what_lies_in_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: data\nVersion: 1.2\n\nA description.\n")
    (tmp_path / "setup.py").write_text("raise SystemExit('must not run')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    assert get_requires_for_build_wheel() == []
    assert prepare_metadata_for_build_wheel(str(tmp_path / "out")) == "data-1.2.dist-info"
    assert (tmp_path / "out" / "data-1.2.dist-info" / "METADATA").read_bytes() == (tmp_path / "PKG-INFO").read_bytes()


def test_another_file_than_the_known_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flights.csv.zip").write_bytes(b"something else")
    with pytest.raises(ArchiveError, match="remove it and try again"):
        flights_zip(tmp_path)
