"""The story of records: kept beside their state, for as long as it is asked for."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.delivery.events import Event, EventKind
from logserver.coordinator.formats import CorruptCoordinatorRecord, FormatError
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.share_state.story import QUEUE_HISTORY
from logserver.coordinator.share_state.story_format import _KINDS, decode_events, encode_events
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import NOW_MS
from tests.broker.nodes import KINDS

from .nodes import KEY, TOPIC_ID, StatesNode, Writer, acknowledged

numbers = st.integers(0, (1 << 62) - 1)
events = st.builds(
    lambda kind, first, records, at_ms, owner, number, acquisitions, failures, reason, until_ms: Event(
        kind, first, first + records, at_ms, owner, number, acquisitions, failures, reason, until_ms
    ),
    st.sampled_from(EventKind),
    numbers,
    st.integers(0, 1 << 40),
    numbers,
    st.text(max_size=5),
    st.integers(-1, 1 << 62),
    st.integers(0, 1 << 33),
    st.integers(0, 1 << 33),
    st.text(max_size=5),
    st.integers(-1, 1 << 62),
)


@given(st.lists(events, max_size=5))
def test_chapters_are_read_as_they_were_written(told: list[Event]) -> None:
    assert list(decode_events(encode_events(told))) == told


def test_every_kind_of_chapter_has_a_number() -> None:
    assert set(_KINDS) == set(EventKind)


@given(st.lists(events, max_size=3), st.data())
def test_chapters_that_are_cut_or_damaged_are_refused_or_read(told: list[Event], data: st.DataObject) -> None:
    whole = encode_events(told)
    with pytest.raises(FormatError):
        list(decode_events(whole[: data.draw(st.integers(0, len(whole) - 1))]))
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        list(decode_events(bytes(damaged)))


def test_a_count_beyond_the_bytes_costs_nothing() -> None:
    with pytest.raises(CorruptCoordinatorRecord):
        list(decode_events(b"\0\0\0\xff\xff\xff\xff\x0f"))


def chapter(kind: EventKind, first: int, last: int | None = None, **fields: object) -> Event:
    event = Event(kind, first, first if last is None else last, NOW_MS, "worker", 7, 1, 0, "", -1)
    return event._replace(**fields)  # type: ignore[arg-type]


@pytest_asyncio.fixture(params=KINDS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StatesNode]:
    """A node over each kind of storage."""
    node = await StatesNode(tmp_path / "data", request.param).start()
    yield node
    await node.stop()


async def test_a_record_has_its_own_story(node: StatesNode) -> None:
    writer, other = Writer(node), Writer(node, StateKey("g", TOPIC_ID, 2))
    for each in (writer, other):
        await each.open()
        each.events = [chapter(EventKind.ACQUIRED, 0, 9, until_ms=NOW_MS + 30_000)]
        each.change(acknowledged(3))
        await each.settled()
    writer.events = [chapter(EventKind.FAILED, 3, reason="boom"), chapter(EventKind.FAILED, 4)]
    writer.change(acknowledged(4))
    await writer.settled()
    wanted = [
        chapter(EventKind.ACQUIRED, 0, 9, until_ms=NOW_MS + 30_000),
        chapter(EventKind.FAILED, 3, reason="boom"),
    ]
    assert await node.states.story(KEY, 3) == wanted
    assert await node.states.story(KEY, 9) == wanted[:1]
    assert await node.states.story(KEY, 10) == []
    # Also what nobody has had a reason to write.
    writer.events = [chapter(EventKind.ACKNOWLEDGED, 9)]
    assert len(await node.states.story(KEY, 9)) == 2
    await node.crash()
    await node.start()
    assert await node.states.story(KEY, 3) == wanted


async def test_the_topic_of_stories_may_forget_and_counts_at_once(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    settings = node.node.broker.topic(QUEUE_HISTORY).settings
    assert settings.deletes and not settings.compacts
    assert settings.retention_ms == 86_400_000
    assert settings.flush_messages > 1
    await node.node.broker.alter_topic(QUEUE_HISTORY, {"retention.ms": "1000"})
    with pytest.raises(LogServerError) as refused:
        await node.node.broker.alter_topic(QUEUE_HISTORY, {"cleanup.policy": "compact"})
    assert refused.value.code is ErrorCode.invalid_config


async def test_without_retention_there_is_no_story(tmp_path: Path) -> None:
    node = await StatesNode(tmp_path / "data", settings={"queue.history.retention.ms": "0"}).start()
    writer = Writer(node)
    await writer.open()
    writer.events = [chapter(EventKind.ACQUIRED, 3)]
    writer.change(acknowledged(3))
    await writer.settled()
    assert writer.events == []
    assert await node.states.story(KEY, 3) == []
    assert node.node.broker.find_topic(QUEUE_HISTORY) is None
    await node.stop()


async def test_a_story_that_can_not_be_written_holds_nothing_up(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    for partition in node.node.broker.topic(QUEUE_HISTORY).partitions:
        node.node.broker.resign(partition, "another node leads it")
    writer.events = [chapter(EventKind.ACQUIRED, 3)]
    writer.change(acknowledged(3))
    await writer.settled()
    with pytest.raises(LogServerError) as refused:
        await node.states.story(KEY, 3)
    assert refused.value.code is ErrorCode.not_leader_or_follower
