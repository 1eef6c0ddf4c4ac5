"""Files, compressed files and archives as sources of records."""

import gzip
import io
import sys
import zipfile
from pathlib import Path

import pytest

from logserver.cli.failures import CommandFailed
from logserver.cli.sources import readable, sources, total_bytes


def contents(*paths: Path) -> list[tuple[str, bytes]]:
    return [(source.name, source.stream.read()) for source in sources([str(path) for path in paths])]


def test_plain_files_come_one_after_the_other(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n")
    (tmp_path / "b.csv").write_bytes(b"2\n")
    assert contents(tmp_path / "b.csv", tmp_path / "a") == [
        (str(tmp_path / "b.csv"), b"2\n"),
        (str(tmp_path / "a"), b"1\n"),
    ]
    assert total_bytes([str(tmp_path / "a"), str(tmp_path / "b.csv")]) == 4


def test_compressed_files_are_read_as_what_is_in_them(tmp_path):
    (tmp_path / "a.csv.GZ").write_bytes(gzip.compress(b"x,y\n") + gzip.compress(b"1,2\n"))
    assert contents(tmp_path / "a.csv.GZ") == [(str(tmp_path / "a.csv.GZ"), b"x,y\n1,2\n")]


def test_an_archive_gives_its_files_in_order(tmp_path):
    path = tmp_path / "flights.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z.csv", "1")
        archive.mkdir("folder")
        archive.writestr("folder/a.csv", "2")
    assert contents(path) == [(f"{path}: z.csv", b"1"), (f"{path}: folder/a.csv", b"2")]


def test_without_a_name_and_for_a_dash_standard_input_is_read(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"in")

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert [source.stream.read() for source in sources([])] == [b"in"]
    assert [source.name for source in sources(["-"])] == ["standard input"]
    assert total_bytes([]) is None
    assert total_bytes(["-"]) is None


@pytest.mark.parametrize("name", ["broken.zip", "broken.gz"])
def test_a_file_that_is_not_what_its_suffix_says_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"neither of them")
    with pytest.raises(CommandFailed, match=f"{name} can't be unpacked"), readable(name):
        contents(tmp_path / name)


def test_a_truncated_file_is_refused_when_its_end_is_reached(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 1000)[:-20])
    with pytest.raises(CommandFailed, match=r"cut\.gz can't be unpacked"), readable(path.name):
        contents(path)


def test_an_encrypted_archive_is_refused(tmp_path):
    path = tmp_path / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "1")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(CommandFailed, match="a is encrypted"):
        contents(path)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(CommandFailed, match="can't be read"):
        contents(tmp_path)
