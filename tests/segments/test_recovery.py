"""Opening a log after an end that nobody expected: what is cut, what is made again, and what is not even read."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from logserver_records.batch import HEADER_SIZE, reheader, split
from logserver_records.codec import build_batch
from logserver_segments.config import LogConfig

from .conftest import Lines
from .support import NOW, SMALL, Box, DelayingCommitter, Fate, batch, read, read_all, run, values

ONE_SEGMENT = replace(SMALL, segment_bytes=1 << 20)


def _log(box: Box, base: int = 0) -> str:
    return f"{box.log.directory}/{base:020d}.log"


def _content(box: Box, base: int = 0) -> bytes:
    return bytes(box.disk.inode(_log(box, base)).data)


# The tail


def test_a_tail_torn_at_any_byte_is_cut_at_the_last_whole_batch(lines: Lines) -> None:
    box = Box(ONE_SEGMENT)
    box.append(batch(b"a" * 9), batch(b"b" * 9), batch(b"c" * 9))
    whole = _content(box)
    size = len(whole) // 3
    for end in range(len(whole), -1, -1):
        box.disk.kill()
        box.disk.damage(_log(box), whole[:end])
        box.open()
        left = end // size
        assert values(read_all(box.log)) == [b"a" * 9, b"b" * 9, b"c" * 9][:left]
        assert len(_content(box)) == left * size
        box.log.check_invariant()
        if end % size:
            line = lines.of("log cut at the last whole valid batch")[-1]
            assert (line["log"], line["segment"]) == ("topic-0", _log(box))
            assert (line["position"], line["offset"], line["cut_bytes"]) == (left * size, left, end % size)
    assert len(lines.of("log cut at the last whole valid batch")) == 3 * (size - 1)


def test_a_tail_of_zeros_is_cut(lines: Lines) -> None:
    box = Box(ONE_SEGMENT)
    box.fill(3)
    whole = _content(box)
    box.disk.kill()
    box.disk.damage(_log(box), whole + bytes(5000))
    box.open()
    assert len(read_all(box.log)) == 3
    assert lines.of("log cut at the last whole valid batch")[0]["cut_bytes"] == 5000


@pytest.mark.parametrize("position", [0, 3, 9, 12, 15, 16, 17, 20, 22, 25, 30, 57, 60, HEADER_SIZE, 70, -1])
def test_from_a_corrupt_batch_on_everything_is_cut(position: int, lines: Lines) -> None:
    box = Box(ONE_SEGMENT)
    box.append(batch(b"a" * 9), batch(b"b" * 9), batch(b"c" * 9))
    damaged = bytearray(_content(box))
    size = len(damaged) // 3
    damaged[size + position % size] ^= 0x41
    box.disk.kill()
    box.disk.damage(_log(box), bytes(damaged))
    box.open()
    # The leader epoch alone is not covered by the CRC, and any will do.
    if 12 <= position <= 15:
        assert len(read_all(box.log)) == 3
        return
    assert values(read_all(box.log)) == [b"a" * 9]
    (line,) = lines.of("log cut at the last whole valid batch")
    assert (line["position"], line["offset"], line["cut_bytes"]) == (size, 1, 2 * size)
    assert line["reason"]
    box.fill(2)
    box.crash(4)
    assert len(read_all(box.log)) == 3


def test_a_corrupt_batch_takes_the_later_segments_with_it(lines: Lines) -> None:
    box = Box()
    box.fill(50)
    bases = [segment.base_offset for segment in box.log.segments]
    assert len(bases) > 4
    damaged = bytearray(_content(box, bases[1]))
    damaged[HEADER_SIZE] ^= 1
    box.disk.kill()
    box.disk.damage(_log(box, bases[1]), bytes(damaged))
    box.open()
    assert box.log.log_end_offset == bases[1]
    assert [name for name in box.names if name.endswith(".log")] == [f"{base:020d}.log" for base in bases[:2]]
    assert [name for name in box.names if name.endswith("index")] == [
        f"{base:020d}.{kind}" for base in bases[:2] for kind in ("index", "timeindex")
    ]
    ((line),) = lines.of("log cut at the last whole valid batch")
    assert line["cut_bytes"] > 3 * 900
    assert len(read_all(box.log)) == bases[1]


def test_a_segment_that_ends_before_the_next_one_begins_is_the_end(lines: Lines) -> None:
    box = Box()
    box.fill(40)
    bases = [segment.base_offset for segment in box.log.segments]
    box.disk.kill()
    content = _content(box, bases[2])
    (_, last) = list(split(content))[-1]
    box.disk.damage(_log(box, bases[2]), content[: -last.size])
    box.open()
    assert box.log.log_end_offset == bases[3] - 1
    assert len(read_all(box.log)) == bases[3] - 1
    ((line),) = lines.of("log cut at the last whole valid batch")
    assert f"begins at offset {bases[3]}" in line["reason"]


def test_a_gap_before_the_recovery_point_is_no_end(lines: Lines) -> None:
    # As another program's compaction leaves one.
    box = Box(ONE_SEGMENT)
    box.fill(10)
    box.log.roll()
    box.directory.close()
    path = f"{box.log.directory}/{0:020d}.log"
    content = bytes(box.disk.inode(path).data)
    box.disk.damage(path, content[: len(content) * 9 // 10])
    box.open()
    assert box.log.log_end_offset == 10
    box.kill()
    assert box.log.log_end_offset == 10 and len(read_all(box.log)) == 9
    assert not lines.of("log cut at the last whole valid batch")
    box.fill(1)
    assert read_all(box.log)[-1].offset == 10


def test_batches_out_of_order_are_cut() -> None:
    box = Box(ONE_SEGMENT)
    box.append(batch(b"a"), batch(b"b"))
    content = _content(box)
    (_, header), *_ = split(content)
    again = reheader(header._replace(base_offset=1), content[HEADER_SIZE : header.size])
    box.disk.kill()
    box.disk.damage(_log(box), content + again)
    box.open()
    assert (box.log.log_end_offset, len(_content(box))) == (2, len(content))


def test_a_batch_larger_than_what_is_read_at_once_is_checked(lines: Lines) -> None:
    box = Box(LogConfig(max_message_bytes=10 << 20))
    box.append(batch(b"small"), batch(b"x" * (3 << 20)), batch(b"last"))
    box.kill()
    assert box.log.log_end_offset == 3
    damaged = bytearray(_content(box))
    damaged[2 << 20] ^= 1
    box.disk.kill()
    box.disk.damage(_log(box), bytes(damaged))
    box.open()
    assert box.log.log_end_offset == 1
    assert "CRC" in lines.of("log cut at the last whole valid batch")[0]["reason"]


def test_what_is_left_after_an_unclean_end_is_durable_before_it_is_shown() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(30)
    assert box.log.committed_offset == 0
    # The process ends; the page cache has it all.
    box.kill()
    assert box.log.committed_offset == 30
    # The power goes: what was readable stays.
    for seed in range(10):
        box.crash(seed)
        assert len(read_all(box.log)) == 30


# The recovery point


def _reads_after_the_checkpoint(box: Box, restart: Callable[[], object]) -> int:
    box.log_reads()
    restart()
    size = sum(size for path, _, size in box.disk.reads if path.endswith(".log"))
    assert not [path for path in box.disk.maps if path.endswith(".log")]
    return size


def test_after_a_clean_stop_nothing_of_the_segments_is_read() -> None:
    box = Box()
    box.fill(60)
    assert _reads_after_the_checkpoint(box, box.reopen) == 0
    assert box.directory.was_clean
    assert _reads_after_the_checkpoint(box, box.reopen) == 0
    assert len(read_all(box.log)) == 60


def test_after_an_unclean_end_only_what_lies_behind_the_recovery_point_is_read() -> None:
    box = Box(replace(SMALL, segment_bytes=100_000))
    box.fill(3000)
    run(box.directory.checkpoint())
    box.fill(10, first=3000)
    assert 0 < _reads_after_the_checkpoint(box, box.kill) < 10_000
    assert box.log.log_end_offset == 3010
    assert box.log.size_bytes > 200_000


@pytest.mark.parametrize("interval", [100, 1 << 20], ids=["index entries", "no index entries"])
def test_one_unclean_end_after_the_other_is_no_more_to_read(interval: int, lines: Lines) -> None:
    box = Box(replace(SMALL, segment_bytes=100_000, index_interval_bytes=interval))
    box.fill(300)
    run(box.directory.checkpoint())
    box.fill(10, first=300)
    first = _reads_after_the_checkpoint(box, box.kill)
    for _ in range(3):
        assert _reads_after_the_checkpoint(box, box.kill) == first
    # Nobody has removed an index.
    assert lines.of("transaction index made again") == []
    assert box.log.log_end_offset == 310


def test_of_indexes_little_is_read_however_long_they_are() -> None:
    box = Box(replace(ONE_SEGMENT, index_interval_bytes=0))
    for number in range(2000):
        box.append(batch(b"record", timestamp=NOW + number))
    run(box.directory.checkpoint())
    entries, times = box.log.segments[0].index.entries(), box.log.segments[0].time_index.entries()
    assert len(entries) == len(times) == 1999
    box.append(batch(b"record", timestamp=NOW + 2000))
    box.log_reads()
    box.kill()
    for suffix in (".index", ".timeindex"):
        assert 0 < sum(size for path, _, size in box.disk.reads if path.endswith(suffix)) < 2000
    for index, before in ((box.log.segments[0].index, entries), (box.log.segments[0].time_index, times)):
        # The last batches are noted again.
        assert index.entries()[:1999] == before and len(index) in (1999, 2000, 2001)
    for offset in (0, 1000, 1998, 1999, 2000):
        assert read(box.log, offset).next_offset > offset
        found = run(box.log.offset_for_timestamp(NOW + offset))
        assert found is not None and found.offset == offset


@pytest.mark.parametrize("entry", [b"\x00", b"\x7f", b"\xff"], ids=["zeros", "high", "negative"])
@pytest.mark.parametrize("kind", ["index", "timeindex"])
@pytest.mark.parametrize("count", [1, 500, 5000])
@pytest.mark.parametrize("times_rise", [True, False])
def test_what_follows_the_known_entries_of_a_long_index_may_be_anything(
    entry: bytes, kind: str, count: int, times_rise: bool
) -> None:
    box = Box(replace(ONE_SEGMENT, index_interval_bytes=0))
    for number in range(500):
        box.append(batch(b"record", timestamp=NOW + number * times_rise))
    run(box.directory.checkpoint())
    box.append(batch(b"record", timestamp=NOW + 500 * times_rise))
    segment = box.log.segments[0]
    index = segment.index if kind == "index" else segment.time_index
    content = bytes(box.disk.inode(index.path).data)
    size = index.entry_size("offset" if kind == "index" else "time")
    box.disk.kill()
    box.disk.damage(index.path, content + entry * (size * count))
    box.open()
    segment = box.log.segments[0]
    assert [offset for offset, _ in segment.index.entries()] == list(range(1, 501))
    times = [(NOW + number, number) for number in range(1, 501)] if times_rise else [(NOW, 0)]
    assert segment.time_index.entries() == times


def test_damage_before_the_recovery_point_is_not_looked_for_and_not_cut() -> None:
    box = Box()
    box.fill(60)
    run(box.directory.checkpoint())
    box.fill(2, first=60)
    damaged = bytearray(_content(box))
    damaged[HEADER_SIZE + 5] ^= 1
    box.disk.kill()
    box.disk.damage(_log(box), bytes(damaged))
    box.open()
    assert box.log.log_end_offset == 62


@pytest.mark.parametrize("more", [10, 30])
def test_a_recovery_point_behind_the_end_is_no_recovery_point(lines: Lines, more: int) -> None:
    box = Box(ONE_SEGMENT)
    box.fill(40)
    run(box.directory.checkpoint())
    whole = _content(box)
    size = len(whole) // 40
    # Synced bytes are gone, and one before them is bad.
    damaged = bytearray(whole[: 30 * size])
    damaged[20 * size + HEADER_SIZE] ^= 1
    box.disk.kill()
    box.disk.damage(_log(box), bytes(damaged))
    box.open()
    assert lines.of("the log ends before its recovery point and is read as a whole")
    assert (box.log.log_end_offset, len(read_all(box.log))) == (20, 20)
    # What is appended now is checked after the next unclean end, although the old recovery point was higher: also where
    # the log has grown beyond it since.
    box.fill(more, first=20)
    content = bytearray(_content(box))
    content[25 * size + HEADER_SIZE] ^= 1
    box.disk.kill()
    box.disk.damage(_log(box), bytes(content))
    box.open()
    assert box.log.log_end_offset == 25


@pytest.mark.parametrize(
    "content", [b"", b"xx", b"0\n1\n", b"0\n2\ntopic 0 5\n", b"1\n0\n", b"0\n1\ntopic 0 x\n", b"\xff"]
)
def test_with_a_damaged_recovery_point_file_logs_are_read_as_a_whole(content: bytes, lines: Lines) -> None:
    box = Box()
    box.fill(60)
    box.directory.close()
    box.disk.damage("/srv/data/recovery-point-offset-checkpoint", content)
    size = _reads_after_the_checkpoint(box, box.open)
    assert len(lines.of("checkpoint not used, logs are checked from their start")) == 1
    assert size >= box.log.size_bytes
    assert len(read_all(box.log)) == 60


def test_a_log_that_was_cut_is_checked_from_there_on_whatever_was_checkpointed() -> None:
    box = Box(ONE_SEGMENT)
    box.fill(40)
    run(box.directory.checkpoint())
    box.log.truncate(20)
    box.fill(20, first=20)
    content = bytearray(_content(box))
    content[30 * (len(content) // 40) + HEADER_SIZE] ^= 1
    box.disk.kill()
    box.disk.damage(_log(box), bytes(content))
    box.open()
    assert box.log.log_end_offset == 30


# Indexes


@pytest.mark.parametrize("damage", ["missing", "empty", "short", "odd", "zeros", "foreign"])
@pytest.mark.parametrize("kind", ["index", "timeindex"])
@pytest.mark.parametrize("checkpoint_at", [0, 35, 40])
def test_indexes_are_made_again_after_an_unclean_end(damage: str, kind: str, checkpoint_at: int) -> None:
    box = Box(replace(SMALL, index_interval_bytes=100))
    for number in range(40):
        if number == checkpoint_at:
            run(box.directory.checkpoint())
        box.append(batch(b"record %d" % number, timestamp=NOW + number))
    if checkpoint_at == 40:
        run(box.directory.checkpoint())
    assert len(box.log.segments) > 3
    box.disk.kill()
    for name in box.names:
        if not name.endswith(f".{kind}"):
            continue
        path = f"{box.log.directory}/{name}"
        content = bytes(box.disk.inode(path).data)
        if damage == "missing":
            box.disk.remove(path)
        else:
            box.disk.damage(
                path,
                {
                    "empty": b"",
                    "short": content[: len(content) // 24 * 12],
                    "odd": content[:-1],
                    "zeros": bytes(len(content)),
                    "foreign": b"\x7f" * len(content),
                }[damage],
            )
    box.open()
    assert values(read_all(box.log)) == [b"record %d" % number for number in range(40)]
    for offset in range(40):
        assert read(box.log, offset).next_offset == offset + 1
    if checkpoint_at == 0 or (damage not in ("short", "zeros") and (kind, damage) != ("index", "empty")):
        for number in range(40):
            found = run(box.log.offset_for_timestamp(NOW + number))
            assert found is not None and found.offset == number
    box.fill(20, first=40)
    assert len(read_all(box.log)) == 60


def test_a_segment_sealed_right_at_the_recovery_point_keeps_its_last_time_entry() -> None:
    for seed in range(30):
        box = Box()
        for number in range(6):
            box.append(batch(b"x" * 60, timestamp=NOW + number))
        assert (NOW + 5, 5) not in box.log.segments[0].time_index.entries()
        run(box.directory.checkpoint())
        box.log.roll()
        box.append(batch(b"y", timestamp=NOW))
        box.crash(seed)
        found = run(box.log.offset_of_max_timestamp())
        assert found is not None and found.offset == 5


@pytest.mark.parametrize("damage", ["epochs", "end"])
def test_indexes_made_again_before_the_recovery_point_are_not_trusted_after_a_power_cut(damage: str) -> None:
    for seed in range(30):
        box = Box()
        box.fill(40)
        run(box.directory.checkpoint())
        box.disk.kill()
        if damage == "epochs":
            box.disk.damage(f"{box.log.directory}/leader-epoch-checkpoint", b"garbage")
        else:
            box.disk.damage(box.log.segments[-1].path, b"")
        # Everything is read again. Of the new index files a power cut leaves, now and then, the size and no data.
        box.open()
        end = box.log.log_end_offset
        box.crash(seed)
        assert all(segment.time_index.last() != (0, 0) for segment in box.log.segments)
        run(box.directory.apply_retention())
        assert (box.log.log_start_offset, box.log.log_end_offset) == (0, end)
        assert len(read_all(box.log)) == end


# Files that do not belong


def test_left_overs_go_and_strangers_stay() -> None:
    box = Box()
    box.fill(40)
    box.directory.close()
    left_overs = [
        f"{5:020d}.log.deleted",
        f"{5:020d}.index.deleted",
        f"{0:020d}.log.cleaned",
        f"{0:020d}.index.cleaned",
        f"{0:020d}.replaces",
        f"{0:020d}.index.rebuilt.tmp",
        "leader-epoch-checkpoint.tmp",
        f"{99:020d}.index",
        f"{99:020d}.timeindex",
        f"{99:020d}.txnindex",
        f"{99:020d}.snapshot",
    ]
    strangers = ["notes.txt", "old.log", "copy.index", "x.snapshot"]
    for name in left_overs + strangers:
        box.disk.write_file(f"{box.log.directory}/{name}", b"stray", durable=True)
    before = set(box.names) - set(left_overs)
    box.open()
    assert set(box.names) == before
    assert len(read_all(box.log)) == 40


def test_a_log_without_any_file_begins_at_its_persisted_start() -> None:
    box = Box()
    box.fill(40)
    box.log.delete_records_before(33)
    box.directory.close()
    for name in box.names:
        box.disk.remove(f"{box.log.directory}/{name}")
    box.open()
    assert (box.log.log_start_offset, box.log.log_end_offset) == (33, 33)


def test_damage_that_leaves_nothing_behind_the_log_start_begins_there_anew(lines: Lines) -> None:
    box = Box(ONE_SEGMENT)
    box.fill(40)
    box.log.delete_records_before(33)
    run(box.directory.persist_start_offsets())
    box.disk.kill()
    box.disk.damage(_log(box), _content(box)[:500])
    box.open()
    assert lines.of("nothing is left of the log behind its start offset")
    assert (box.log.log_start_offset, box.log.log_end_offset) == (33, 33)
    box.fill(2)
    box.crash(3)
    assert [record.offset for record in read_all(box.log)] == [33, 34]


# Leader epochs


def test_leader_epochs_are_read_from_the_log_where_their_file_is_damaged(lines: Lines) -> None:
    box = Box()
    for epoch in range(5):
        box.fill(6, epoch=epoch)
    box.directory.close()
    path = f"{box.log.directory}/leader-epoch-checkpoint"
    whole = bytes(box.disk.inode(path).data)
    for content in (b"", b"garbage", whole[:-1], whole[:-3], b"0\n1\n0 0\n0 0\n", b"0\n2\n1 0\n0 0\n", None):
        if content is None:
            box.disk.remove(path)
        else:
            box.disk.damage(path, content)
        box.open()
        assert box.log.epochs.entries() == [(epoch, 6 * epoch) for epoch in range(5)]
        box.directory.close()
        assert bytes(box.disk.inode(path).data) == whole
    assert len(lines.of("leader epochs are read from the log again")) == 6


def test_epochs_of_a_lost_tail_are_forgotten() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(5, epoch=1)
    box.committer.finish(0)
    box.fill(5, epoch=2)
    box.crash(fate=Fate(names=True, content=False))
    assert box.log.log_end_offset == 5
    assert box.log.epochs.entries() == [(1, 0)]
    box = Box(committer=DelayingCommitter)
    box.append(batch(b"x"), epoch=3)
    box.disk.write_file(f"{box.log.directory}/leader-epoch-checkpoint", b"0\n1\n3 0\n", durable=True)
    box.crash(fate=Fate(names=True, content=False))
    assert (box.log.log_end_offset, box.log.epochs.entries()) == (0, [])


def test_epochs_of_another_time_give_way_to_those_of_the_batches() -> None:
    box = Box(ONE_SEGMENT)
    box.fill(3, epoch=2)
    run(box.directory.checkpoint())
    box.fill(7, epoch=2)
    box.disk.kill()
    # As a truncation leaves it whose new records were lost with the truncation.
    box.disk.damage(f"{box.log.directory}/leader-epoch-checkpoint", b"0\n2\n2 0\n5 6\n")
    box.open()
    assert box.log.epochs.entries() == [(2, 0)]


# Producer states


def _sent(box: Box, count: int) -> None:
    for sequence in range(count):
        box.append(batch(b"x", producer=(7, 0, sequence)))


def test_the_states_of_a_truncated_log_are_not_taken_for_those_of_what_follows() -> None:
    for restart in ("kill", "names lost", "content lost"):
        box = Box(ONE_SEGMENT, committer=DelayingCommitter)
        _sent(box, 10)
        box.committer.finish(0)
        run(box.directory.checkpoint())
        box.log.truncate(4)
        box.fill(20)
        if restart == "kill":
            box.kill()
        else:
            box.crash(fate=Fate(names=restart == "content lost", content=restart == "names lost"))
        assert box.append(batch(b"x", producer=(7, 0, 3)))[0].duplicate
        assert not box.append(batch(b"x", producer=(7, 0, 4)))[0].duplicate


def test_a_snapshot_of_lost_records_is_removed_for_good() -> None:
    box = Box(ONE_SEGMENT, committer=DelayingCommitter)
    _sent(box, 10)
    snapshot = box.log.producers.to_snapshot()
    box = Box(ONE_SEGMENT, committer=DelayingCommitter)
    box.fill(5)
    box.committer.finish(0)
    box.disk.write_file(f"{box.log.directory}/{10:020d}.snapshot", snapshot, durable=True)
    box.kill()
    box.fill(20)
    # Of the removal nothing survives unless it was made durable; of the records all does.
    box.crash(fate=Fate(names=False, content=True))
    assert box.log.log_end_offset == 25
    assert len(box.log.producers) == 0


# Odd index entries


def _with_entries(change: Callable[[list[tuple[int, int]]], list[tuple[int, int]]]) -> Box:
    """A log whose index says something else, with a recovery point behind most of it."""
    box = Box(replace(ONE_SEGMENT, index_interval_bytes=0))
    for number in range(20):
        box.append(batch(b"record %d" % number, timestamp=NOW + number))
    run(box.directory.checkpoint())
    box.fill(3, first=20)
    box.disk.kill()
    index = box.log.segments[0].index
    entries = change(index.entries()[:19])
    box.disk.damage(index.path, b"".join(struct.pack(">ii", *entry) for entry in entries))
    box.open()
    return box


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: [*entries[:10], (10, entries[11][1]), (11, entries[12][1])],
        lambda entries: [*entries[:18], (18, entries[17][1] + 1)],
        lambda entries: [*entries[:17], (18, entries[18][1])],
        lambda entries: [*entries[:18], (18, 10**6)],
        lambda entries: [*entries[:10], *[(0, 0)] * 9],
        lambda entries: [*entries[:5], entries[3], *entries[6:]],
        lambda entries: [*entries, (500, 10**6)],
    ],
)
def test_index_entries_that_lead_astray_are_not_kept(
    change: Callable[[list[tuple[int, int]]], list[tuple[int, int]]],
) -> None:
    box = _with_entries(change)
    assert len(read_all(box.log)) == 23
    for offset in range(23):
        assert read(box.log, offset).next_offset == offset + 1
    positions = [position for position, _ in split(_content(box))]
    entries = box.log.segments[0].index.entries()
    assert entries == sorted(set(entries))
    assert all(positions[key] == position for key, position in entries)


@pytest.mark.parametrize("more", [1, 5])
def test_an_index_entry_that_leads_astray_leaves_out_no_batch_of_a_producer(more: int) -> None:
    box = Box(replace(ONE_SEGMENT, index_interval_bytes=0))
    _sent(box, 8)
    box.log.take_snapshot()
    for sequence in range(8, 20):
        box.append(batch(b"x", producer=(sequence, 0, 0)))
    index = box.log.segments[0].index
    entries, size = box.reopen().segments[0].index.entries(), box.log.segments[0].size // 20
    box.directory.close()
    box.disk.remove(f"{box.log.directory}/{20:020d}.snapshot")
    changed = [(key, position + more * size if 6 <= key <= 8 else position) for key, position in entries]
    box.disk.damage(index.path, b"".join(struct.pack(">ii", *entry) for entry in changed))
    box.open()
    for sequence in range(8, 20):
        assert box.append(batch(b"x", producer=(sequence, 0, 0)))[0].duplicate, sequence


def test_a_lost_time_index_does_not_make_the_largest_time_smaller() -> None:
    box = Box(ONE_SEGMENT)
    box.append(batch(b"x" * 100, timestamp=NOW + 3000))
    box.fill(30)
    run(box.directory.checkpoint())
    box.disk.kill()
    path = box.log.segments[0].time_index.path
    assert box.log.segments[0].index.entries()
    box.disk.damage(path, b"")
    box.open()
    found = run(box.log.offset_of_max_timestamp())
    assert found is not None and found.offset == 0
    found = run(box.log.offset_for_timestamp(NOW + 1))
    assert found is not None and found.offset == 0


@pytest.mark.parametrize("content", [b"", bytes(12), bytes(36)])
def test_a_time_index_that_a_power_cut_left_empty_says_nothing_of_the_first_records(content: bytes) -> None:
    box = Box(ONE_SEGMENT)
    for number in range(5):
        box.append(batch(b"record", timestamp=NOW + number))
    run(box.directory.checkpoint())
    box.append(batch(b"record", timestamp=NOW + 5))
    box.disk.kill()
    box.disk.damage(_log(box).replace(".log", ".timeindex"), content)
    box.open()
    assert (0, 0) not in box.log.segments[0].time_index.entries()
    for number in range(6):
        found = run(box.log.offset_for_timestamp(NOW + number))
        assert found is not None and found.offset == number


def test_time_entries_of_a_clean_stop_outlive_an_unclean_end() -> None:
    box = Box(ONE_SEGMENT)
    box.append(batch(b"record", timestamp=NOW + 7))
    box.reopen()
    box.append(batch(b"record", timestamp=NOW + 3))
    for _ in range(2):
        box.kill()
        assert box.log.segments[0].time_index.entries() == [(NOW + 7, 0)]
        found = run(box.log.offset_of_max_timestamp())
        assert found is not None and found.offset == 0


def test_an_index_that_was_never_looked_at_does_not_keep_a_log_from_stopping() -> None:
    box = Box(replace(ONE_SEGMENT, index_interval_bytes=0))
    for number in range(30):
        box.append(batch(b"x", timestamp=NOW + number))
    path = box.log.segments[-1].time_index.path
    box.reopen()
    assert len(box.log.segments[-1].time_index) > 20
    box.disk.damage(path, b"")
    box.reopen()
    assert box.directory.was_clean
    assert len(read_all(box.log)) == 30
    box.disk.remove(box.log.segments[-1].index.path)
    box.reopen()
    box.reopen()
    assert len(read_all(box.log)) == 30


def test_what_is_appended_to_a_log_that_was_cut_before_it_was_ever_flushed_is_durable() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(1)
    box.log.truncate(0)
    box.fill(1)
    box.committer.finish(0)
    assert box.listener.committed == [1]
    box.crash(fate=Fate(names=False, content=False))
    assert len(read_all(box.log)) == 1


def _idempotent(sequence: int) -> bytes:
    return build_batch([(NOW, None, b"x", ())], producer_id=7, producer_epoch=0, base_sequence=sequence)


def test_what_a_producer_sent_is_known_though_its_segments_went_before_a_checkpoint() -> None:
    box = Box()
    for sequence in (0, 1):
        box.log.append(_idempotent(sequence), 0, NOW)
    box.log.roll()
    box.log.delete_records_before(2)
    run(box.directory.persist_start_offsets())
    assert box.log.apply_retention(NOW) == 1
    box.crash(fate=Fate(names=True, content=False))
    assert box.log.append(_idempotent(1), 0, NOW).base_offset == 1
    assert box.log.append(_idempotent(2), 0, NOW).base_offset == 2


def test_what_producers_sent_before_a_gap_is_not_taken_for_their_last() -> None:
    box = Box()
    box.log.append(_idempotent(0), 0, NOW)
    box.log.roll()
    box.log.append(_idempotent(1), 0, NOW)
    box.log.roll()
    box.log.delete_records_before(2)
    run(box.directory.persist_start_offsets())
    old = box.disk.read_file(f"{box.log.directory}/{1:020d}.snapshot")
    box.log.apply_retention(NOW)
    box.disk.kill()
    # A power cut has taken back that the older one was removed, and torn the newer one.
    box.disk.write_file(f"{box.log.directory}/{1:020d}.snapshot", old, durable=True)
    box.disk.damage(f"{box.log.directory}/{2:020d}.snapshot", b"")
    box.open()
    assert box.log.append(_idempotent(2), 0, NOW).base_offset == 2
