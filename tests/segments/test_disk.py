"""The real disk, and the fake one that the other tests stand on: both do the same."""

import copy
import ctypes
import errno
import multiprocessing
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from logserver_segments import disk as disk_module
from logserver_segments.disk import OsDisk

from .fake_disk import FakeDisk


@pytest.fixture(params=["real", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, str]:
    """A disk and an empty directory on it."""
    if request.param == "real":
        return OsDisk(), str(tmp_path)
    disk = FakeDisk()
    disk.make_directory("/dir")
    return disk, "/dir"


def test_buffers_are_written_one_behind_the_other_at_a_position(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    assert file.write((b"abc", bytearray(b"de"), memoryview(b"fg")), 0) == 7
    assert file.write((b"XY",), 2) == 2
    assert (file.read(100, 0), file.read(3, 5), file.read(5, 7), file.size()) == (b"abXYefg", b"fg", b"", 7)


def test_thousands_of_buffers_are_written_at_once(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    buffers = [b"%06d" % number for number in range(5000)]
    assert file.write(buffers, 0) == 30_000
    assert file.read(30_000, 0) == b"".join(buffers)


def test_a_file_is_made_once_and_opened_often(place: tuple[Any, str]) -> None:
    disk, path = place
    disk.open(f"{path}/f", create=True).write((b"abc",), 0)
    with pytest.raises(FileExistsError):
        disk.open(f"{path}/f", create=True)
    assert disk.open(f"{path}/f").read(10, 0) == b"abc"
    with pytest.raises(FileNotFoundError):
        disk.open(f"{path}/other")


def test_what_is_in_memory_is_read_without_waiting(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    file.write((b"abcdef",), 0)
    assert bytes(file.read_resident(3, 1)) == b"bcd"
    assert bytes(file.read_resident(100, 4)) == b"ef"


def test_a_large_read_has_the_bytes_of_the_file_and_no_others(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    data = bytes(range(256)) * 2_000
    file.write((data,), 0)
    assert bytes(file.read_resident(len(data), 0)) == data
    assert bytes(file.read_resident(1 << 20, 1_000)) == data[1_000:]
    assert bytes(file.read_resident(1 << 20, len(data))) == b""


def test_a_mapping_shows_the_first_bytes_also_when_the_file_grows_or_goes(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    file.write((b"x" * 10_000,), 0)
    mapping = file.map(9_000)
    assert len(mapping.view) == 9_000 and mapping.view.readonly
    assert mapping.is_resident(0, 9_000) and mapping.is_resident(8_999, 1) and mapping.is_resident(4_000, 500)
    file.write((b"y" * 10_000,), 10_000)
    part = mapping.view[8_990:]
    del mapping
    disk.remove(f"{path}/f")
    del file
    assert bytes(part) == b"x" * 10


def test_a_file_is_cut(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    file.write((b"abcdef",), 0)
    file.truncate(2)
    file.sync()
    assert (file.size(), file.read(10, 0)) == (2, b"ab")


def test_a_file_is_replaced_as_a_whole(place: tuple[Any, str]) -> None:
    disk, path = place
    for durable in (True, False):
        disk.write_file(f"{path}/f", b"long content", durable=durable)
        disk.write_file(f"{path}/f", b"short", durable=durable)
        assert disk.read_file(f"{path}/f") == b"short"
    assert [entry.name for entry in disk.list(path)] == ["f"]


def test_a_directory_tells_names_kinds_and_sizes(place: tuple[Any, str]) -> None:
    disk, path = place
    disk.make_directory(f"{path}/a/b")
    disk.make_directory(f"{path}/a/b")
    disk.write_file(f"{path}/a/f", b"123", durable=False)
    assert sorted(disk.list(f"{path}/a")) == [("b", True, 0), ("f", False, 3)]
    assert disk.exists(f"{path}/a/b") and disk.exists(f"{path}/a/f") and not disk.exists(f"{path}/a/c")
    with pytest.raises(FileNotFoundError):
        disk.list(f"{path}/nothing")
    with pytest.raises(NotADirectoryError):
        disk.list(f"{path}/a/f")


def test_names_change_and_go(place: tuple[Any, str]) -> None:
    disk, path = place
    disk.write_file(f"{path}/a", b"a", durable=False)
    disk.write_file(f"{path}/b", b"b", durable=False)
    disk.rename(f"{path}/a", f"{path}/b")
    assert disk.read_file(f"{path}/b") == b"a"
    with pytest.raises(FileNotFoundError):
        disk.rename(f"{path}/a", f"{path}/c")
    disk.remove(f"{path}/b")
    disk.remove(f"{path}/b")
    assert disk.list(path) == []
    disk.make_directory(f"{path}/d/e")
    disk.remove_tree(f"{path}/d")
    assert not disk.exists(f"{path}/d")


def test_two_may_remove_the_same_directory(tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / "d" / str(number % 20)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / str(number % 20) / str(number)).touch()
    with ThreadPoolExecutor() as threads:
        list(threads.map(OsDisk().remove_tree, [f"{tmp_path}/d"] * 4))
    assert not (tmp_path / "d").exists()


def test_a_part_of_a_file_is_written_out(place: tuple[Any, str]) -> None:
    disk, path = place
    file = disk.open(f"{path}/f", create=True)
    file.write((bytes(100_000),), 0)
    file.write_out(4096, 60_000)
    assert file.size() == 100_000


def test_that_a_part_could_not_be_written_out_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    file = OsDisk().open(f"{tmp_path}/f")
    with pytest.raises(OSError, match="Illegal seek"):
        file.write_out(0, 4096)


def test_everything_can_be_synced(place: tuple[Any, str]) -> None:
    disk, path = place
    disk.sync_directory(path)
    disk.sync_filesystem(path)
    disk.sync_filesystem(path)
    free, total = disk.space(path)
    assert 0 < free <= total


def test_a_lock_is_had_once(place: tuple[Any, str]) -> None:
    disk, path = place
    lock = disk.lock(f"{path}/.lock")
    with pytest.raises(BlockingIOError):
        disk.lock(f"{path}/.lock")
    lock.release()
    lock.release()
    disk.lock(f"{path}/.lock").release()


def _lock_elsewhere(path: str, results: Any) -> None:
    try:
        OsDisk().lock(path)
    except BlockingIOError:
        results.put("refused")
    else:
        results.put("locked")


def test_a_lock_holds_against_other_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    lock = OsDisk().lock(str(tmp_path / ".lock"))
    process = context.Process(target=_lock_elsewhere, args=(str(tmp_path / ".lock"), results))
    process.start()
    assert results.get(timeout=60) == "refused"
    process.join()
    lock.release()


def test_a_mapping_longer_than_its_file_is_an_error_of_the_disk(tmp_path: Path) -> None:
    file = OsDisk().open(str(tmp_path / "f"), create=True)
    file.write((b"abc",), 0)
    with pytest.raises(OSError):
        file.map(5000)


def test_a_thread_that_begins_to_flush_later_is_told_once_what_others_were_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Linux tells it, whose disk can't be made to fail here."""

    class Broken:
        @staticmethod
        def syncfs(number: int) -> int:
            ctypes.set_errno(errno.ENOSPC)
            return -1

    disk, path, told = OsDisk(), str(tmp_path), []

    def flush() -> None:
        try:
            disk.sync_filesystem(path)
        except OSError as error:
            told.append(error.errno)
        else:
            told.append(0)

    def elsewhere(times: int) -> None:
        thread = threading.Thread(target=lambda: [flush() for _ in range(times)])
        thread.start()
        thread.join()

    elsewhere(1)
    with monkeypatch.context() as broken:
        broken.setattr(disk_module, "_libc", Broken)
        elsewhere(1)
    elsewhere(2)
    flush()
    flush()
    # Each disk object keeps its own account.
    OsDisk().sync_filesystem(path)
    assert told == [0, errno.ENOSPC, errno.EIO, 0, errno.EIO, 0]


def test_a_file_that_could_not_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    # A directory stands where the file should be.
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        OsDisk().write_file(str(tmp_path / "f"), b"content", durable=True)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_descriptors_are_closed_with_their_last_user(tmp_path: Path) -> None:
    disk = OsDisk()
    disk.sync_filesystem(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    file = disk.open(str(tmp_path / "f"), create=True)
    file.write((b"abc",), 0)
    mapping = file.map(3)
    assert len(os.listdir("/proc/self/fd")) > before
    del file, mapping
    for _ in range(3):
        disk.sync_filesystem(str(tmp_path))
        disk.sync_directory(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def _after_power_cuts(disk: FakeDisk, count: int) -> list[dict[str, bytes]]:
    """What is left after a power cut, for several turns of fate."""
    left = []
    for seed in range(count):
        other = FakeDisk()
        other.root = copy.deepcopy(disk.root)
        other.crash(random.Random(seed))
        left.append({path: bytes(inode.data) for path, inode in other.files()})
    return left


def test_the_fake_disk_keeps_what_was_synced_and_may_lose_the_rest() -> None:
    disk = FakeDisk()
    disk.make_directory("/dir")
    disk.sync_directory("/")
    file = disk.open("/dir/f", create=True)
    file.write((b"synced",), 0)
    file.sync()
    # The content is durable, its name is not.
    assert {frozenset(files.items()) for files in _after_power_cuts(disk, 50)} == {
        frozenset(),
        frozenset({("/dir/f", b"synced")}),
    }
    disk.sync_directory("/dir")
    file.write((b"AB",), 4)
    contents = {files["/dir/f"] for files in _after_power_cuts(disk, 200)}
    assert {b"synced", b"syncAB"} <= contents and len(contents) > 2
    assert all(content.startswith(b"sync") for content in contents)


def test_the_fake_disk_promises_nothing_of_what_was_written_out_and_tells_what_failed() -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    disk.sync_filesystem("/")
    file = disk.open("/d/f", create=True)
    disk.sync_directory("/d")
    file.write((b"abc",), 0)
    file.write_out(0, 3)
    assert disk.inode("/d/f").durable == b""
    disk.fail("sync", "/d/f")
    with pytest.raises(OSError, match="Input/output error"):
        file.write_out(0, 3)
    file.sync()
    assert disk.inode("/d/f").durable == b""


def test_the_fake_disk_tells_of_a_loss_also_when_the_next_flush_of_all_has_failed_too() -> None:
    disk = FakeDisk()
    file = disk.open("/f", create=True)
    file.write((b"abc",), 0)
    disk.fail("sync_filesystem", times=2)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            disk.sync_filesystem("/")
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()
    file.sync()


def test_the_fake_disk_never_makes_durable_what_a_failed_sync_lost() -> None:
    disk = FakeDisk()
    file = disk.open("/f", create=True)
    disk.sync_directory("/")
    file.write((b"abc",), 0)
    disk.fail("sync", error=errno.EIO)
    with pytest.raises(OSError):
        file.sync()
    file.sync()
    assert file.read(3, 0) == b"abc"
    assert all(files["/f"] == b"" for files in _after_power_cuts(disk, 20))


def test_the_fake_disk_fills_up_and_has_room_again() -> None:
    disk = FakeDisk(capacity=10)
    file = disk.open("/f", create=True)
    with pytest.raises(OSError) as refused:
        file.write((b"x" * 11,), 0)
    assert refused.value.errno == errno.ENOSPC and file.size() == 10
    file.truncate(4)
    assert file.write((b"y" * 6,), 4) == 6
    assert disk.space("/") == (0, 10)


def test_the_fake_disk_tells_when_a_mapped_file_is_cut() -> None:
    disk = FakeDisk()
    file = disk.open("/f", create=True)
    file.write((b"abc",), 0)
    part = file.map(3).view[1:]
    with pytest.raises(AssertionError, match="live mapping"):
        file.truncate(1)
    assert bytes(part) == b"bc"
