"""The disk that records: its log rebuilds it, and a power cut leaves what a real disk could leave."""

import contextlib
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
    for operation in ("sync", "sync_filesystem"):
        disk.fail(operation)
    with contextlib.suppress(OSError):
        files[0].sync()
    with contextlib.suppress(OSError):
        disk.sync_filesystem("/d")
    disk.remove("/d/a/1")
    disk.sync_filesystem("/d")
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
    assert {operation.kind for operation in disk.operations} == set(Kind)


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


def every_left(disk: RecordingDisk) -> set[tuple[tuple[str, bytes], ...]]:
    """Returns the contents that some hundred power cuts leave."""
    return {tuple(sorted(contents(disk.left_by_power_cut(Random(seed))).items())) for seed in range(300)}


def test_renames_and_removals_are_lost_until_their_directory_is_synced() -> None:
    disk = RecordingDisk()
    for name in ("old", "new", "gone"):
        file = disk.open(f"/{name}", create=True)
        file.write([name.encode()], 0)
        file.sync()
    disk.sync_directory("/")
    before = (("/gone", b"gone"), ("/new", b"new"), ("/old", b"old"))
    disk.rename("/new", "/old")
    disk.remove("/gone")
    # One after the other, and never half a rename.
    assert every_left(disk) == {before, (("/gone", b"gone"), ("/old", b"new")), (("/old", b"new"),)}
    disk.sync_directory("/")
    assert every_left(disk) == {(("/old", b"new"),)}


def test_what_changes_two_directories_may_have_changed_one() -> None:
    disk = RecordingDisk()
    for name in ("a", "b"):
        disk.make_directory(f"/{name}")
    disk.open("/a/f", create=True)
    disk.sync_filesystem("/")
    disk.rename("/a/f", "/b/f")
    left = {tuple(path for path, _ in state) for state in every_left(disk)}
    assert left == {("/a/f",), ("/a/f", "/b/f"), ("/b/f",), ()}


def test_a_directory_is_lost_with_all_in_it_that_was_synced() -> None:
    disk = RecordingDisk()
    disk.make_directory("/d")
    file = disk.open("/d/f", create=True)
    file.write([b"x"], 0)
    file.sync()
    disk.sync_directory("/d")
    assert every_left(disk) == {(), (("/d/f", b"x"),)}
    disk.sync_directory("/")
    assert every_left(disk) == {(("/d/f", b"x"),)}


def test_what_a_failed_sync_should_have_written_is_seen_and_never_durable() -> None:
    disk = RecordingDisk()
    file = disk.open("/f", create=True)
    disk.sync_directory("/")
    file.write([b"lost"], 0)
    disk.fail("sync")
    with contextlib.suppress(OSError):
        file.sync()
    file.write([b"kept"], 4)
    file.sync()
    assert file.read(8, 0) == b"lostkept"
    assert every_left(disk) == {(("/f", bytes(4) + b"kept"),)}


def test_a_file_system_is_synced_and_no_other() -> None:
    disk = RecordingDisk(mounts=("/one", "/two"))
    for mount in disk.mounts:
        disk.open(f"{mount}/f", create=True).write([b"x"], 0)
    disk.sync_filesystem("/one/f")
    left = {dict(state).get("/one/f") for state in every_left(disk)}
    others = {dict(state).get("/two/f") for state in every_left(disk)}
    assert left == {b"x"} and others >= {None, b"", b"x"}


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
