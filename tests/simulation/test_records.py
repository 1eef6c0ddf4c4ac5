"""The checks of records and readings find what must not be, and let pass what may."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from logserver_records.batch import read_header
from logserver_records.codec import build_batch

from logserver.errors import ErrorCode, LogServerError
from logserver.simulation.checks.groups import check_sequences
from logserver.simulation.checks.records import check_readings, check_records
from logserver.simulation.clients.reader import begin_reading, start_behind_deletion, take_batch
from logserver.simulation.clients.writer import record_of
from logserver.simulation.ledger import EVER, NEVER, Batch, Reading, Sent, Violation
from logserver.simulation.world import COMPACTED

from .story import PLACE, Story

KEYED = (COMPACTED, 0)


def found(story: Story) -> str | None:
    """Returns what the check of records says."""
    try:
        check_records(story.state, story.ledger, story.at)
    except Violation as violation:
        return violation.kind
    return None


def some() -> Story:
    """Two records that are acknowledged, one that is not, all there."""
    story = Story()
    for number in (0, 1):
        story.send(f"anna:{number}", acked=number)
    story.send("anna:2")
    for number in range(3):
        story.store(number, f"anna:{number}")
    return story


def test_what_was_sent_may_be_there_and_what_was_acknowledged_is() -> None:
    story = some()
    assert found(story) is None
    del story.partition().records[2]
    assert found(story) is None


@pytest.mark.parametrize("offset", [0, 1])
def test_an_acknowledged_record_that_is_gone_is_found(offset: int) -> None:
    story = some()
    del story.partition().records[offset]
    assert found(story) == "lost acknowledged record"


def test_what_is_acknowledged_after_a_cut_need_not_be_there() -> None:
    story = some()
    at = story.at
    story.done += 1
    story.send("anna:3", acked=3)
    check_records(story.state, story.ledger, at)
    assert found(story) == "lost acknowledged record"


def test_another_record_in_the_place_of_an_acknowledged_one_is_found() -> None:
    story = some()
    story.send("bert:0")
    story.store(1, "bert:0")
    assert found(story) == "lost acknowledged record"


def test_a_partition_that_is_gone_is_found() -> None:
    story = some()
    story.state.partitions.clear()
    assert found(story) == "lost partition"


def test_a_record_that_was_read_and_is_gone_is_found() -> None:
    story = some()
    story.ledger.saw("carl", PLACE, 2, "anna:2")
    assert found(story) is None
    del story.partition().records[2]
    assert found(story) == "lost record that was read"


def test_a_record_that_nobody_sent_there_is_found() -> None:
    story = some()
    story.store(3, "bert:0")
    assert found(story) == "unknown record"
    story = some()
    story.send("bert:0", place=KEYED)
    story.store(3, "bert:0")
    assert found(story) == "unknown record"
    story = some()
    before = story.at
    story.done += 1
    story.send("bert:0")
    story.store(3, "bert:0")
    assert found(story) is None
    with pytest.raises(Violation, match="unknown record"):
        check_records(story.state, story.ledger, before)


def test_a_record_that_is_there_twice_is_found() -> None:
    story = some()
    story.store(3, "anna:2")
    assert found(story) == "duplicate"


def test_records_of_a_producer_in_another_order_are_found_unless_it_promises_none() -> None:
    story = Story()
    for name, is_idempotent in (("simple", False), ("anna", True)):
        for number in (0, 1):
            story.send(f"{name}:{number}", is_idempotent=is_idempotent)
    story.store(0, "simple:1")
    story.store(1, "simple:0")
    assert found(story) is None
    story.store(2, "anna:1")
    story.store(3, "anna:0")
    assert found(story) == "reordering"


@pytest.mark.parametrize(
    "tell",
    [
        lambda story, sent: story.ledger.acked(sent, 5),
        lambda story, sent: story.ledger.acked(story.send("bert:0"), 1),
        lambda story, sent: story.ledger.saw("carl", PLACE, 1, story.send("bert:0").value),
        lambda story, sent: (
            story.ledger.saw("carl", PLACE, 9, story.send("bert:0").value),
            story.ledger.saw("dora", PLACE, 9, story.send("bert:1").value),
        ),
    ],
)
def test_offsets_that_are_told_differently_are_found(tell: Callable[[Story, Sent], object]) -> None:
    story = Story()
    sent = story.send("anna:1", acked=1)
    story.ledger.acked(sent, 1)
    with pytest.raises(Violation, match=r"^inconsistent offset"):
        tell(story, sent)


def test_a_record_that_a_reader_got_and_nobody_sent_is_found() -> None:
    story = some()
    for value, place in (("bert:0", PLACE), ("anna:0", KEYED)):
        with pytest.raises(Violation, match=r"^unknown record"):
            story.ledger.saw("carl", place, 9, value)


def test_a_batch_that_is_sent_again_is_known() -> None:
    story = Story()
    story.partition()
    for number in (0, 1):
        story.send(f"anna:{number}", acked=number)
    story.ledger.batches[PLACE, "anna"] = [Batch(PLACE, b"", 0, 1, 7, 0, story.at)]
    answers: list[Any] = []

    def append(data: bytes, hint: object) -> Any:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sent_again(answer: Any) -> None:
        answers.append(answer)
        broker = SimpleNamespace(partition=lambda *place: SimpleNamespace(append=append))
        check_sequences(cast(Any, SimpleNamespace(broker=broker)), story.state, story.ledger, story.at)

    sent_again(SimpleNamespace(duplicate=True, base_offset=0))
    for again in (
        SimpleNamespace(duplicate=False, base_offset=3),
        SimpleNamespace(duplicate=True, base_offset=1),
    ):
        with pytest.raises(Violation, match=r"^duplicate"):
            sent_again(again)
    with pytest.raises(Violation, match=r"^lost sequence"):
        sent_again(LogServerError(ErrorCode.out_of_order_sequence_number, "what is in front of it is not there"))
    # Where a batch was is forgotten only of those in front of the last one.
    with pytest.raises(Violation, match=r"^lost sequence"):
        sent_again(LogServerError(ErrorCode.duplicate_sequence_number, "it was there"))
    story.send("anna:2")
    sent_again(LogServerError(ErrorCode.duplicate_sequence_number, "it was there"))


def test_records_that_are_deleted_without_being_asked_or_come_back_are_found() -> None:
    story = some()
    story.partition().start = 1
    assert found(story) == "lost records"
    story.ledger.deletions[PLACE] = [(2, 10.0, NEVER)]
    assert found(story) is None
    story.ledger.deletions[PLACE] = [(2, 10.0, story.at)]
    assert found(story) == "lost deletion"
    story.partition().start = 2
    assert found(story) is None


def test_compaction_keeps_the_last_record_of_each_key() -> None:
    story = Story()
    for number in range(3):
        story.send(f"anna:{number}", place=KEYED, key="k", acked=number)
    story.store(2, "anna:2", place=KEYED)
    assert found(story) is None
    story.partition(KEYED).records.clear()
    assert found(story) == "lost acknowledged record"
    story.store(0, "anna:0", place=KEYED)
    assert found(story) == "older record came back"
    story.partition(KEYED).records.clear()
    story.send("anna:3", place=KEYED, key="k", acked=3, is_tombstone=True)
    assert found(story) is None


# Readers


def reading(story: Story, *, is_committed_only: bool = False) -> Reading:
    return begin_reading(story.ledger, "carl", PLACE, 0, is_committed_only=is_committed_only)


def take(story: Story, into: Reading, base: int, *values: str) -> None:
    """Gives a reader a batch."""
    data = base.to_bytes(8, "big") + build_batch([record_of(story.ledger.sent[value], 0) for value in values])[8:]
    take_batch(story.ledger, into, data, 0, read_header(data))
    into.position = base + len(values)


def test_a_reader_may_begin_inside_of_a_batch_and_not_be_sent_back() -> None:
    story = some()
    carl = reading(story)
    carl.position = 1
    take(story, carl, 0, "anna:0", "anna:1")
    assert carl.offsets == {1: "anna:1"}
    with pytest.raises(Violation, match=r"^non-monotonic poll"):
        take(story, carl, 0, "anna:0", "anna:1")


def test_a_record_that_a_reader_was_not_given_is_found() -> None:
    story = some()
    carl = reading(story)
    for offset in (0, 1):
        take(story, carl, offset, f"anna:{offset}")
    check_readings(story.state, story.ledger)
    carl = reading(story)
    take(story, carl, 1, "anna:1")
    with pytest.raises(Violation, match=r"^skipped record"):
        check_readings(story.state, story.ledger)


@pytest.mark.parametrize("committed", [False, None])
def test_a_record_of_an_aborted_or_open_transaction_that_was_read_is_found(committed: bool | None) -> None:
    story = Story()
    story.send("tx.1:0", transaction=story.transact())
    story.store(0, "tx.1:0", committed=committed)
    take(story, reading(story), 0, "tx.1:0")
    check_readings(story.state, story.ledger)
    take(story, reading(story, is_committed_only=True), 0, "tx.1:0")
    with pytest.raises(Violation, match=r"^aborted read"):
        check_readings(story.state, story.ledger)


def test_a_position_that_is_gone_though_nobody_deleted_it_is_found() -> None:
    story = some()
    carl = reading(story)
    with pytest.raises(Violation, match=r"^lost position"):
        start_behind_deletion(story.ledger, carl)
    story.ledger.deletions[PLACE] = [(2, 10.0, EVER)]
    assert start_behind_deletion(story.ledger, carl).position == 2
