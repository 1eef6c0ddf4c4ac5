"""The small text files with offsets and epochs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_segments.checkpoints import CheckpointDamaged, LeaderEpochs, format_offsets, parse_offsets

offsets = st.dictionaries(
    st.tuples(st.text("abcXYZ019._-", min_size=1, max_size=20), st.integers(0, 10_000)),
    st.integers(0, 2**63 - 1),
    max_size=10,
)


def test_offset_checkpoints_are_in_kafkas_format() -> None:
    content = format_offsets({("b", 10): 7, ("b", 2): 0, ("a.topic_x-1", 0): 2**62})
    assert content == b"0\n3\na.topic_x-1 0 4611686018427387904\nb 2 0\nb 10 7\n"
    assert format_offsets({}) == b"0\n0\n"


@given(offsets)
def test_offsets_are_read_as_they_were_written(expected: dict[tuple[str, int], int]) -> None:
    assert parse_offsets(format_offsets(expected)) == expected


@given(offsets, st.data())
def test_a_part_of_a_checkpoint_is_never_taken_for_one(
    expected: dict[tuple[str, int], int], data: st.DataObject
) -> None:
    content = format_offsets(expected)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(CheckpointDamaged):
        parse_offsets(content[:cut])


@pytest.mark.parametrize(
    "content",
    [
        b"0",
        b"0\n",
        b"1\n0\n",
        b"0\nx\n",
        b"0\n-1\n",
        b"0\n1\n\n",
        b"0\n1\na 0\n",
        b"0\n1\na b 3\n",
        b"0\n0\na 0 3\n",
        b"\xff\n0\n",
    ],
)
def test_what_is_no_checkpoint_is_damaged(content: bytes) -> None:
    with pytest.raises(CheckpointDamaged):
        parse_offsets(content)


def _epochs(*entries: tuple[int, int]) -> LeaderEpochs:
    epochs = LeaderEpochs()
    for epoch, start in entries:
        epochs.assign(epoch, start)
    return epochs


def test_an_epoch_begins_with_its_first_record() -> None:
    epochs = LeaderEpochs()
    assert epochs.latest is None
    assert epochs.assign(0, 0) and epochs.assign(3, 10)
    assert not epochs.assign(3, 20) and not epochs.assign(2, 30)
    assert (epochs.latest, epochs.entries()) == (3, [(0, 0), (3, 10)])


def test_an_epoch_without_records_is_replaced_by_the_next() -> None:
    assert _epochs((0, 0), (1, 10), (2, 10)).entries() == [(0, 0), (2, 10)]
    assert _epochs((0, 5), (1, 3)).entries() == [(1, 3)]


def test_an_epoch_ends_where_the_next_begins() -> None:
    epochs = _epochs((1, 0), (3, 10), (4, 25))
    assert epochs.end_offset_of(0, 40) is None
    assert [epochs.end_offset_of(epoch, 40) for epoch in (1, 2, 3, 4, 9)] == [
        (1, 10),
        (1, 10),
        (3, 25),
        (4, 40),
        (4, 40),
    ]
    assert LeaderEpochs().end_offset_of(5, 0) is None


def test_epochs_behind_a_truncation_are_forgotten() -> None:
    epochs = _epochs((1, 0), (3, 10), (4, 25))
    assert not epochs.truncate_end(26)
    assert epochs.truncate_end(25) and epochs.entries() == [(1, 0), (3, 10)]
    assert epochs.truncate_end(5) and epochs.entries() == [(1, 0)]
    assert epochs.truncate_end(0) and epochs.entries() == []


def test_epochs_before_the_log_start_are_forgotten_and_the_one_there_begins_with_it() -> None:
    epochs = _epochs((1, 0), (3, 10), (4, 25))
    assert epochs.truncate_start(5) and epochs.entries() == [(1, 5), (3, 10), (4, 25)]
    assert epochs.truncate_start(10) and epochs.entries() == [(3, 10), (4, 25)]
    assert not epochs.truncate_start(10) and not epochs.truncate_start(3)
    assert epochs.truncate_start(99) and epochs.entries() == [(4, 99)]
    assert not LeaderEpochs().truncate_start(5)


def test_leader_epochs_are_in_kafkas_format() -> None:
    content = _epochs((1, 0), (3, 10)).to_file()
    assert content == b"0\n2\n1 0\n3 10\n"
    again = LeaderEpochs()
    again.load(content)
    assert again.entries() == [(1, 0), (3, 10)]


@pytest.mark.parametrize(
    "content", [b"0\n2\n3 10\n1 0\n", b"0\n2\n1 10\n3 0\n", b"0\n1\n1\n", b"0\n1\n1 2 3\n", b"0\n1\n1 2"]
)
def test_damaged_leader_epochs_change_nothing(content: bytes) -> None:
    epochs = _epochs((7, 7))
    with pytest.raises(CheckpointDamaged):
        epochs.load(content)
    assert epochs.entries() == [(7, 7)]
