"""The index of aborted transactions: its file, and how it is made again."""

import asyncio
import errno
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from logserver_segments.errors import CorruptRecords
from logserver_segments.log import Log
from logserver_segments.partition_log import AbortedTransaction

from .fake_disk import PowerCut
from .support import NOW, SMALL, Box, Fate, HeldWorkers, NotingCommitter, batch, run
from .transactional import ABORT, TransactionalProducer, aborted, read_committed

LARGE = replace(SMALL, segment_bytes=1 << 20)


def _path(box: Box, base: int = 0) -> str:
    return f"{box.log.directory}/{base:020d}.txnindex"


def _file(box: Box, base: int = 0) -> bytes:
    return bytes(box.disk.inode(_path(box, base)).data)


def _indexes(box: Box) -> list[str]:
    return [name for name in box.names if name.endswith(".txnindex")]


def _abort(log: Log, producer_id: int, *, plain: int = 0) -> AbortedTransaction:
    """Aborts a transaction of a producer's own, with plain records inside; returns what is to be found of it."""
    producer = TransactionalProducer(log, producer_id)
    first = producer.send(b"in").base_offset
    for _ in range(plain):
        log.append(batch(b"plain" + b"." * 100), 0, NOW)
    last = producer.abort().base_offset
    return AbortedTransaction(producer_id, first, last, last + 1)


def test_an_aborted_transaction_is_an_entry_in_kafkas_format() -> None:
    box = Box(LARGE)
    one, two = TransactionalProducer(box.log, 1), TransactionalProducer(box.log, 2)
    box.fill(3)
    one.send(b"a")
    two.send(b"b")
    assert _indexes(box) == []
    one.abort()
    # Still open is what began at offset 4.
    assert _file(box) == struct.pack(">hqqqq", 0, 1, 3, 5, 4)
    two.abort()
    assert _file(box)[34:] == struct.pack(">hqqqq", 0, 2, 4, 6, 7)
    assert aborted(box.log) == [AbortedTransaction(1, 3, 5, 4), AbortedTransaction(2, 4, 6, 7)]


def test_without_aborted_transactions_there_is_no_file() -> None:
    box = Box()
    for number in range(30):
        producer = TransactionalProducer(box.log, number)
        producer.send(b"a")
        producer.commit()
    assert len(box.log.segments) > 2 and _indexes(box) == []
    box.reopen()
    assert _indexes(box) == [] and aborted(box.log) == []


def test_ranges_tell_what_overlaps_them_across_segments() -> None:
    box = Box()
    all_of_them = [_abort(box.log, number, plain=number % 3 * 8) for number in range(40)]
    assert len(_indexes(box)) > 5
    end = box.log.log_end_offset
    for start in range(0, end, 7):
        for stop in (start + 1, start + 5, start + 50, end):
            expected = [one for one in all_of_them if one.last_offset >= start and one.first_offset < stop]
            assert aborted(box.log, start, stop) == expected
    assert aborted(box.log, end, end + 10) == []


def test_a_long_index_is_searched_and_not_read() -> None:
    box = Box(replace(LARGE, max_producers=5000))
    all_of_them = [_abort(box.log, number) for number in range(1000)]
    box.disk.reads.clear()
    assert aborted(box.log, 1500, 1503) == all_of_them[750:752]
    assert sum(size for path, _, size in box.disk.reads if path == _path(box)) < 34 * 200


@pytest.mark.parametrize("cold", ["txnindex", "."])
def test_what_is_not_in_memory_is_read_by_a_worker(cold: str) -> None:
    box = Box()
    all_of_them = [_abort(box.log, number) for number in range(30)]
    box.disk.cold = lambda path: cold in path
    found = box.log.aborted_transactions(0, box.log.last_stable_offset)
    assert not isinstance(found, list)
    assert run(found) == all_of_them


def test_entries_survive_any_end() -> None:
    box = Box(committer=NotingCommitter)
    all_of_them = [_abort(box.log, number, plain=number % 4) for number in range(20)]
    expected = read_committed(box.log)
    for end in (box.reopen, box.kill, box.crash, lambda: box.crash(fate=Fate(names=False, content=False)), box.reopen):
        end()
        assert (aborted(box.log), read_committed(box.log)) == (all_of_them, expected)
        number = len(all_of_them)
        all_of_them.append(_abort(box.log, number))
        if number % 2:
            run(box.directory.checkpoint())


def test_open_transactions_survive_any_end() -> None:
    box = Box(committer=NotingCommitter)
    producers = [TransactionalProducer(box.log, number) for number in range(3)]
    for number in range(30):
        producers[number % 3].send(b"%d" % number + b"." * 50)
    for end in (box.reopen, box.kill, box.crash, lambda: box.crash(fate=Fate(names=False, content=False)), box.reopen):
        end()
        assert box.log.last_stable_offset == 0
        assert [found.transaction_first_offset for found in box.log.active_producers()] == [0, 1, 2]
        run(box.directory.checkpoint())
    for producer in producers:
        producer.log = box.log
        producer.abort()
    assert aborted(box.log) == [
        AbortedTransaction(0, 0, 30, 1), AbortedTransaction(1, 1, 31, 2), AbortedTransaction(2, 2, 32, 33)
    ]  # fmt: skip


def test_after_a_crash_only_what_follows_the_recovery_point_is_made_again() -> None:
    box = Box(LARGE)
    known = _abort(box.log, 1)
    run(box.directory.checkpoint())
    # A promise: what is before the recovery point is good. Here it tells whether it was looked at.
    marked = struct.pack(">hqqqq", 0, 99, known.first_offset, known.last_offset, known.last_stable_offset)
    new = _abort(box.log, 2)
    box.disk.damage(_path(box), marked)
    box.kill()
    assert aborted(box.log) == [known._replace(producer_id=99), new]
    # Of what can't be right, nothing is believed.
    for behind in (b"half an entry", marked):
        box.disk.damage(_path(box), marked + behind)
        box.kill()
        assert aborted(box.log) == [known, new]


def test_an_entry_whose_marker_a_crash_took_goes_too() -> None:
    box = Box(LARGE)
    known = _abort(box.log, 1)
    run(box.directory.checkpoint())
    length = len(box.disk.inode(box.log.segments[0].path).data)
    _abort(box.log, 2)
    # As if the power had gone with the index flushed, and not the log.
    content = _file(box)
    assert len(content) == 68
    box.disk.kill()
    path = box.log.segments[0].path
    box.disk.damage(path, bytes(box.disk.inode(path).data[:length]))
    box.open()
    assert len(_file(box)) == 34
    box.fill(5)
    assert aborted(box.log) == [known]


@pytest.mark.parametrize("is_opened_in_full", [True, False])
def test_an_index_that_is_made_again_is_not_lost_to_the_next_crash(is_opened_in_full: bool) -> None:
    """Below the recovery point nothing would make it again."""
    for operations in range(100):
        box = Box(LARGE)
        known = [_abort(box.log, 1), _abort(box.log, 2)]
        run(box.directory.checkpoint())
        known.append(_abort(box.log, 3))
        box.disk.kill()
        box.disk.damage(_path(box), _file(box)[:70])
        if is_opened_in_full:
            box.open()
            box.crash(fate=Fate(names=bool(operations % 2), content=False))
            assert aborted(box.log) == known
            if operations:
                return
            continue
        box.disk.operations_left = operations
        try:
            box.open()
            return
        except PowerCut:
            box.disk.operations_left = None
        box.crash(operations)
        assert aborted(box.log) == known
    raise AssertionError("it never came to its end")


def test_reading_everything_again_does_not_lose_entries_to_the_next_crash() -> None:
    """The recovery point stays, and the next start looks from there on only."""
    box = Box(LARGE)
    known = [_abort(box.log, 1), _abort(box.log, 2)]
    box.log.roll()
    known.append(_abort(box.log, 3))
    run(box.directory.checkpoint())
    box.disk.kill()
    epochs = f"{box.log.directory}/leader-epoch-checkpoint"
    box.disk.damage(epochs, b"")
    box.open()
    assert aborted(box.log) == known
    # The operating system has written this much by itself.
    box.disk.inode(epochs).sync()
    box.disk.sync_directory(box.log.directory)
    box.crash(fate=Fate(names=True, content=False))
    assert aborted(box.log) == known


def test_a_cut_takes_the_entries_behind_it() -> None:
    box = Box(LARGE)
    one, two = _abort(box.log, 1), _abort(box.log, 2)
    open_now = TransactionalProducer(box.log, 3)
    open_now.send(b"c")
    box.log.truncate(two.last_offset)
    assert aborted(box.log) == [one]
    assert box.log.last_stable_offset == two.first_offset
    box.log.append_marker(2, 0, ABORT, 0, NOW, 1)
    assert aborted(box.log) == [one, two]
    box.log.truncate(0)
    assert _indexes(box) == [] and aborted(box.log, 0, 10) == []


def test_retention_takes_the_index_with_its_segment() -> None:
    box = Box(replace(SMALL, retention_ms=1000))
    for number in range(30):
        _abort(box.log, number)
    kept = box.log.segments[-1].base_offset
    box.log.append(batch(b"new", timestamp=NOW + 2000), 0, NOW + 2000)
    box.log.delete_records_before(kept)
    box.log.apply_retention(NOW + 2000)
    assert all(int(name.split(".")[0]) >= kept for name in _indexes(box))
    assert all(found.last_offset >= kept for found in aborted(box.log, 0, box.log.log_end_offset))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:-1],
    "version": lambda content: content[:34] + b"\0\1" + content[36:],
    "order": lambda content: content[34:68] + content[:34] + content[68:],
    "ends first": lambda content: content[:10] + content[18:26] + content[10:18] + content[26:],
    "stable later": lambda content: content[:26] + b"\x7f" * 8 + content[34:],
    "of a segment before": lambda content: struct.pack(">hqqqq", 0, 1, -5, -1, 0) + content[34:],
    "of a segment behind": lambda content: content[:-34] + struct.pack(">hqqqq", 0, 1, 0, 10**9, 1),
    "noise": lambda content: bytes(range(1, 35)) * (len(content) // 34),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("base", ["first", "last"])
def test_a_damaged_index_is_made_again(damage: str, base: str) -> None:
    box = Box()
    all_of_them = [_abort(box.log, number, plain=3) for number in range(20)]
    path = _path(box, int(_indexes(box)[0 if base == "first" else -2].split(".")[0]))
    good = bytes(box.disk.inode(path).data)
    box.directory.close()
    box.disk.damage(path, DAMAGES[damage](good))
    box.open()
    assert aborted(box.log) == all_of_them
    assert bytes(box.disk.inode(path).data) == good


def test_where_all_index_files_are_missing_this_one_is_made_again_too() -> None:
    box = Box()
    all_of_them = [_abort(box.log, number, plain=3) for number in range(20)]
    box.directory.close()
    for name in box.names:
        if name.endswith(("index", ".snapshot")):
            box.disk.remove(f"{box.log.directory}/{name}")
    box.open()
    # Also if the others come first, and the process ends in between.
    box.log.check_invariant()
    read_half = box.log.segments[2]
    run(box.log.rebuild_indexes(read_half))
    box.reopen()
    assert aborted(box.log) == all_of_them
    assert read_committed(box.log) == [(n, v) for n, v in read_committed(box.log) if v != b"in"]


def test_an_index_is_made_again_while_others_write() -> None:
    async def go() -> None:
        workers = HeldWorkers()
        workers.hold = False
        box = Box(LARGE, workers=workers)
        known = [_abort(box.log, number) for number in range(3)]
        box.directory.close()
        box.disk.damage(_path(box), _file(box)[:-1])
        box.open()
        workers.hold = True
        finding = asyncio.ensure_future(_awaited(box.log))
        await workers.reached()
        later = _abort(box.log, 7)
        workers.hold = False
        workers.release()
        assert await finding == [*known, later]
        assert len(_file(box)) == 34 * 4

    asyncio.run(go())


def test_what_retention_takes_meanwhile_is_not_missed() -> None:
    async def go() -> None:
        workers = HeldWorkers()
        workers.hold = False
        box = Box(replace(SMALL, retention_ms=1000), workers=workers)
        known = [_abort(box.log, number, plain=3) for number in range(20)]
        box.log.append(batch(b"new", timestamp=NOW + 9000), 0, NOW)
        box.directory.close()
        box.disk.damage(_path(box), b"?")
        for name in box.names:
            if name.endswith(".snapshot"):
                box.disk.remove(f"{box.log.directory}/{name}")
        box.open()
        workers.hold = True
        finding = asyncio.ensure_future(_awaited(box.log))
        await workers.reached()
        start = box.log.segments[3].base_offset
        box.log.delete_records_before(start)
        box.log.apply_retention(NOW)
        box.log.remove_doomed(NOW + 1)
        workers.hold = False
        workers.release()
        assert await finding == [one for one in known if one.last_offset >= start]

    asyncio.run(go())


async def _awaited(log: Log) -> list[AbortedTransaction]:
    found = log.aborted_transactions(0, log.last_stable_offset + 100)
    assert not isinstance(found, list)
    return await found


def test_an_index_of_a_damaged_segment_is_an_error() -> None:
    box = Box()
    for number in range(20):
        _abort(box.log, number)
    box.directory.close()
    box.disk.damage(_path(box), b"?")
    log_path = _path(box).replace("txnindex", "log")
    content = bytearray(box.disk.inode(log_path).data)
    content[16] = 9
    box.disk.damage(log_path, bytes(content))
    for name in box.names:
        if name.endswith(".snapshot"):
            box.disk.remove(f"{box.log.directory}/{name}")
    box.open()
    with pytest.raises(CorruptRecords, match="run a check"):
        aborted(box.log)


def test_an_entry_that_the_disk_refused_is_written_later() -> None:
    box = Box(LARGE)
    one = _abort(box.log, 1)
    box.disk.fail("write", "*.txnindex", errno.ENOSPC)
    two = _abort(box.log, 2)
    assert aborted(box.log) == [one, two]
    assert len(_file(box)) < 68
    box.reopen()
    assert aborted(box.log) == [one, two]
    assert len(_file(box)) == 68


def test_expiry_spares_whoever_has_a_transaction_open() -> None:
    box = Box(LARGE)
    one, two = TransactionalProducer(box.log, 1), TransactionalProducer(box.log, 2)
    one.send(b"a")
    two.send(b"b")
    two.commit()
    for now in (NOW, NOW + 10**6):
        box.log.producers.expire(now, 1000)
    assert [found.producer_id for found in box.log.active_producers()] == [1]
    assert box.log.last_stable_offset == 0
    one.commit()
    assert read_committed(box.log) == [(0, b"a"), (1, b"b")]


def test_a_full_table_spares_whoever_has_a_transaction_open() -> None:
    box = Box(replace(LARGE, max_producers=3))
    opened = [TransactionalProducer(box.log, number) for number in (1, 2)]
    for producer in opened:
        producer.send(b"a")
    for number in range(10, 20):
        box.log.append(batch(b"x", producer=(number, 0, 0)), 0, NOW)
    assert len(box.log.producers) == 3
    box.reopen()
    known = {found.producer_id for found in box.log.active_producers()}
    assert known >= {1, 2} and box.log.last_stable_offset == 0
    for producer in opened:
        producer.log = box.log
        producer.abort()
    assert box.log.last_stable_offset == box.log.log_end_offset
