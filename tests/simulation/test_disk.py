"""The disk that records: its log rebuilds it, and a power cut leaves what a real disk could leave."""

import errno
from random import Random

import pytest

from logserver.simulation.disk import Kind, RecordingDisk
from logserver.simulation.disk.recording import ANYBODY, FLUSHER


def contents(disk: RecordingDisk) -> dict[str, bytes]:
    return {path: bytes(inode.data) for path, inode in disk.files()}


def busy_disk(seed: int) -> RecordingDisk:
    """A disk that everything has been done to."""
    random = Random(seed)
    disk = RecordingDisk()
    disk.make_directory("/d/a")
    disk.sync_directory("/d")
    files = [disk.open(f"/d/a/{number}", create=True) for number in range(3)]
    for number in range(60):
        file = random.choice(files)
        what = random.randrange(8)
        if what < 4:
            file.write([random.randbytes(random.randint(1, 2000))], random.randint(0, file.size()))
        elif what == 4:
            file.truncate(random.randint(0, file.size()))
        elif what == 5:
            file.sync()
        elif what == 6:
            disk.write_file("/d/checkpoint", b"%d" % number, durable=random.random() < 0.5)
        elif disk.exists("/d/a/2"):
            disk.rename("/d/a/2", "/d/a/two")
    return disk


def test_the_log_rebuilds_every_state_of_the_disk() -> None:
    disk = busy_disk(1)
    states = []
    again = RecordingDisk()
    for operation in disk.operations:
        states.append(contents(again))
        again.do(operation)
    for count, state in enumerate(states):
        found = {path: bytes(inode.data) for path, inode in disk.tree_after(count).files()}
        assert found == state
    assert contents(again) == contents(disk)
    assert {operation.kind for operation in disk.operations} >= {
        Kind.CREATE, Kind.MAKE_DIRECTORY, Kind.WRITE, Kind.TRUNCATE, Kind.SYNC, Kind.RENAME, Kind.SYNC_DIRECTORY,
    }  # fmt: skip


def test_the_same_seed_leaves_the_same() -> None:
    disk = busy_disk(2)
    assert contents(disk.left_by_power_cut(Random(5), 40)) == contents(busy_disk(2).left_by_power_cut(Random(5), 40))
    assert len({str(contents(disk.left_by_power_cut(Random(seed), 40))) for seed in range(50)}) > 10


def test_what_is_synced_stays_and_what_is_not_is_torn_at_sectors_and_pages_too() -> None:
    disk = RecordingDisk()
    disk.make_directory("/d")
    file = disk.open("/d/f", create=True)
    disk.sync_directory("/d")
    disk.sync_directory("/")
    file.write([b"a" * 700], 0)
    file.sync()
    file.write([b"b" * 10_000], 700)
    left = [bytes(disk.left_by_power_cut(Random(seed)).inode("/d/f").data) for seed in range(3000)]
    assert all(content.startswith(b"a" * 700) for content in left)
    lengths = {len(content) for content in left}
    assert {700, 4096, 8192, 10_700} < lengths
    at_sectors = {length for length in lengths if length % 512 == 0 and length % 4096}
    assert len(at_sectors) > 5
    assert any(length % 512 for length in lengths - {700, 10_700})
    # A sector that never came before one that did, and a size without data.
    assert any(content[1024:1536] == bytes(512) and content[1536:2048] == b"b" * 512 for content in left)
    assert b"a" * 700 + bytes(10_000) in left


def test_entries_of_directories_are_lost_until_they_are_synced_and_files_reordered() -> None:
    disk = RecordingDisk()
    disk.make_directory("/d")
    disk.sync_directory("/")
    for name in ("f", "g"):
        file = disk.open(f"/d/{name}", create=True)
        file.write([name.encode()], 0)
        file.sync()
    found = {tuple(contents(disk.left_by_power_cut(Random(seed)))) for seed in range(100)}
    assert found == {(), ("/d/f",), ("/d/f", "/d/g")}
    disk.sync_directory("/d")
    for name in ("f", "g"):
        disk.open(f"/d/{name}").write([name.upper().encode()], 0)
    states = {tuple(contents(disk.left_by_power_cut(Random(seed))).values()) for seed in range(100)}
    assert states >= {(b"f", b"g"), (b"F", b"g"), (b"f", b"G"), (b"F", b"G")}


def test_who_holds_a_file_from_before_the_crash_writes_to_nowhere() -> None:
    disk = RecordingDisk()
    file = disk.open("/f", create=True)
    file.write([b"old"], 0)
    file.sync()
    disk.sync_directory("/")
    disk.crash(Random(1))
    file.write([b"new"], 0)
    file.truncate(0)
    assert contents(disk) == {"/f": b"old"}


def test_each_descriptor_of_a_process_is_told_once_that_flushing_failed_and_the_next_process_is_not() -> None:
    disk = RecordingDisk()
    disk.fail("sync_filesystem", error=errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        disk.sync_filesystem("/")
    disk.sync_filesystem("/")
    disk.caller = FLUSHER
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_filesystem("/")
    disk.sync_filesystem("/")
    disk.fail("sync_filesystem")
    disk.caller = ANYBODY
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_filesystem("/")
    disk.kill()
    disk.caller = FLUSHER
    disk.sync_filesystem("/")
