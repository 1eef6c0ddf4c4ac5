"""What a restart finds: the same image at the same revision, also after a crash and after compaction."""

from pathlib import Path

import pytest
from logserver_records.codec import build_batch
from logserver_segments.errors import StorageError

from logserver.metadata import Compare, Delete, Put, StoreUnavailable
from tests.broker.faulty_disk import FaultyDisk

from .stores import StoreBox


async def test_a_reload_gives_the_same_image_and_revision(box: StoreBox) -> None:
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"), Put(b"b", b"2")))
    await store.txn((), (Put(b"b", b"3"), Delete(b"a"), Put(b"c", b"")))
    image, revision = store.range(b""), store.revision
    for reopen in (box.open, box.reopen_after_a_crash, box.open):
        store = await reopen()
        assert (store.range(b""), store.revision) == (image, revision)
    assert (await store.txn((Compare(b"b", mod_revision=revision),), (Put(b"d", b"4"),))).revision > revision


async def test_an_empty_store_has_revision_0(box: StoreBox) -> None:
    store = await box.open()
    assert store.revision == 0 and store.range(b"") == []
    assert (await box.open()).revision == 0


async def test_compaction_keeps_the_image_and_what_made_each_key(tmp_path: Path) -> None:
    box = StoreBox(tmp_path / "data", segment_bytes=4096)
    store = await box.open()
    await store.txn((), (Put(b"old", b"x"), Put(b"gone", b"x")))
    await store.txn((), (Delete(b"gone"),))
    for number in range(200):
        await store.txn((), (Put(b"turning", b"%d" % number), Put(b"old", b"y") if number == 100 else Delete(b"none")))
    image, revision = store.range(b""), store.revision
    size = box.log.size_bytes
    assert box.directory is not None
    await box.directory.compact()
    assert box.log.size_bytes < size
    for reopen in (box.open, box.reopen_after_a_crash):
        store = await reopen()
        assert (store.range(b""), store.revision) == (image, revision)
    found = store.get(b"old")
    assert found is not None and found.create_revision == 1 < found.mod_revision
    box.close()


@pytest.mark.parametrize(("position", "complaint"), [(100, "wrong CRC"), (0, "begins at offset")])
async def test_damage_in_the_middle_is_an_error_and_not_a_smaller_image(
    box: StoreBox, position: int, complaint: str
) -> None:
    store = await box.open()
    for number in range(10):
        await store.txn((), (Put(b"%d" % number, b"value" * 100),))
    box.close()
    path = next(box.path.glob("*/*.log"))
    content = bytearray(path.read_bytes())
    content[len(content) // 10 * 5 + position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(StorageError, match=f"metadata log is damaged.*{complaint}"):
        await box.open()
    assert box.directory is not None
    box.directory.abandon()
    box.directory = None


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, b"1", ()),
        (b"a", b"1", (("created", b"soon"),)),
        (b"a", b"1", (("lease", b"\xff"),)),
        (b"\x00lease/seven", b"3000", ()),
        (b"\x00lease/%020d" % 7, b"long", ()),
    ],
)
async def test_a_record_that_can_not_be_is_an_error_that_names_its_offset(
    box: StoreBox, key: bytes | None, value: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"),))
    box.log.append_trusted(build_batch([(box.clock.now_ms(), key, value, headers)]), 0, box.clock.now_ms())
    box.close()
    with pytest.raises(StorageError, match="metadata log is damaged at offset 1"):
        await box.open()
    assert box.directory is not None
    box.directory.abandon()
    box.directory = None


async def test_a_full_disk_refuses_changes_until_there_is_space_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    box = StoreBox(tmp_path / "data", disk=disk)
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"),))
    disk.fill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="no space left"):
            await store.txn((), (Put(b"a", b"2"),))
    found = store.get(b"a")
    assert found is not None and found.value == b"1"
    disk.heal()
    assert (await store.txn((Compare(b"a", value=b"1"),), (Put(b"a", b"3"),))).revision == 2
    store = await box.open()
    found = store.get(b"a")
    assert found is not None and found.value == b"3" and store.revision == 2
    box.close()


async def test_a_disk_that_breaks_ends_changes_for_good(tmp_path: Path) -> None:
    disk = FaultyDisk()
    box = StoreBox(tmp_path / "data", disk=disk)
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"),))
    disk.fail("sync", times=1)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="offline"):
            await store.txn((), (Put(b"a", b"2"),))
    assert store.get(b"a").value == b"1"  # type: ignore[union-attr]
    store = await box.open()
    assert store.get(b"a").value == b"1"  # type: ignore[union-attr]
    assert (await store.txn((), (Put(b"a", b"3"),))).succeeded
    box.close()
