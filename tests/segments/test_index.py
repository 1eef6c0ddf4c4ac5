"""An index: entries in memory and in a file, looked up as one list."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_segments.index import Index, IndexDamaged
from logserver_segments.pool import Pool
from logserver_segments.reading import ColdData
from logserver_segments.seams import Mapping

from .fake_disk import FakeDisk
from .support import Box, read, read_all, records_in

Kind = Literal["offset", "time"]


def _index(kind: Kind = "offset", entries: int = 0, *, disk: FakeDisk | None = None, file_entries: int = 0) -> Index:
    if disk is None:
        disk = FakeDisk()
        disk.make_directory("/d")
    index = Index(kind, "/d/index", disk, Pool[Mapping](1), file_entries)
    for number in range(entries):
        index.append(10 * number, 100 * number)
    return index


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 20)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("truncate"), st.integers(0, 30)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("reopen"), st.just(0)),
        st.tuples(st.just("reset"), st.just(0)),
    ),
    max_size=30,
)


@given(st.sampled_from(["offset", "time"]), st.booleans(), steps)
def test_an_index_is_a_sorted_list(kind: Kind, cold: bool, taken: list[tuple[str, int]]) -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    disk.cold = lambda path: cold
    index = _index(kind, disk=disk)
    model: list[tuple[int, int]] = []
    for step, number in taken:
        if step == "append":
            for _ in range(number):
                key, value = model[-1] if model else (0, 0)
                model.append((key + 1 + number % 3, value + 7))
                index.append(*model[-1])
        elif step == "flush":
            index.flush()
        elif step == "truncate":
            index.truncate(number)
            del model[number:]
        elif step == "release":
            index.release()
        elif step == "reset":
            index.reset()
            model.clear()
        else:
            index.flush()
            index = _index(kind, disk=disk, file_entries=len(model))
        assert len(index) == len(model)
        assert index.last() == (model[-1] if model else None)
        assert index.entries() == model
        for wanted in {0, 1, *(key for key, _ in model), *(key + 1 for key, _ in model)}:
            expected = max((entry for entry in model if entry[0] <= wanted), default=None)
            assert index.floor(wanted, wait=True) == expected
        for wanted in {0, *(value for _, value in model), *(value - 1 for _, value in model)}:
            expected = max((entry for entry in model if entry[1] <= wanted), default=None)
            assert index.floor_by_value(wanted, wait=True) == expected


def test_an_empty_index_has_a_file_once_it_is_written() -> None:
    index = _index()
    assert (index.last(), index.floor(5), index.floor_by_value(5)) == (None, None, None)
    with pytest.raises(IndexDamaged, match="missing"):
        index.check(key_range=range(10), value_range=range(10))
    index.flush()
    index.check(key_range=range(10), value_range=range(10))


@pytest.mark.parametrize(("kind", "size"), [("offset", 8), ("time", 12)])
def test_the_file_is_checked_by_its_size_and_last_entry(kind: Kind, size: int) -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    index = _index(kind, 5, disk=disk)
    index.flush()
    content = bytes(disk.inode("/d/index").data)
    assert len(content) == 5 * size == index.size_bytes
    again = _index(kind, disk=disk, file_entries=5)
    again.check(key_range=range(41), value_range=range(401))
    for keys, positions in ((range(40), range(401)), (range(41), range(400)), (range(41, 50), range(401))):
        with pytest.raises(IndexDamaged, match="outside of its segment"):
            _index(kind, disk=disk, file_entries=5).check(key_range=keys, value_range=positions)
    for damage in (content[:-1], content + b"x", content[: 4 * size]):
        disk.damage("/d/index", damage)
        with pytest.raises(IndexDamaged):
            _index(kind, disk=disk, file_entries=5).check(key_range=range(41), value_range=range(401))


def test_a_file_that_shrank_or_went_is_noticed_when_it_is_used() -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    index = _index(entries=5, disk=disk)
    index.flush()
    disk.damage("/d/index", bytes(8))
    fault = disk.fail("map", error=22, times=None)
    with pytest.raises(IndexDamaged, match="shorter"):
        index.floor(30)
    disk.faults.remove(fault)
    with pytest.raises(IndexDamaged, match="shorter"):
        _index(disk=disk, file_entries=5).last()
    disk.remove("/d/index")
    with pytest.raises(IndexDamaged, match="missing"):
        index.floor(30)


def test_a_cold_file_is_not_waited_for_unless_that_is_allowed() -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    index = _index(entries=5, disk=disk)
    index.flush()
    disk.cold = lambda path: True
    with pytest.raises(ColdData):
        index.floor(30)
    with pytest.raises(ColdData):
        index.floor_by_value(30)
    assert index.floor(30, wait=True) == (30, 300)
    index.warm()
    disk.cold = lambda path: False
    assert index.floor(30) == (30, 300)
    # What is in memory needs no disk.
    disk.cold = lambda path: True
    index.append(50, 500)
    assert index.floor(77) == (50, 500)


def test_entries_that_could_not_be_written_stay_in_memory() -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    index = _index(entries=5, disk=disk)
    index.flush()
    index.append(60, 600)
    disk.fail("write")
    with pytest.raises(OSError, match="Input/output"):
        index.flush()
    # A part of them stands in the file, and does not count.
    assert index.entries()[-2:] == [(40, 400), (60, 600)]
    assert index.floor(55) == (40, 400)
    index.flush()
    assert _index(disk=disk, file_entries=6).entries()[-1] == (60, 600)


def test_an_entry_that_points_behind_the_file_has_the_index_made_again() -> None:
    box = Box()
    box.fill(60)
    box.directory.close()
    first = box.log.segments[0]
    content = bytearray(box.disk.inode(first.index.path).data)
    assert len(content) >= 24
    # In the middle, where opening the index after a clean stop does not look.
    content[12:16] = b"\x00\xab\x5e\x29"
    box.disk.damage(first.index.path, bytes(content))
    box.open()
    relative = int.from_bytes(content[8:12])
    assert records_in(read(box.log, relative).data)[-1].offset >= relative
    assert [record.offset for record in read_all(box.log)] == list(range(60))
