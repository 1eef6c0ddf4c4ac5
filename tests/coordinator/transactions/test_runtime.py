"""Transactions over real storage: ends that are interrupted at every step, leadership that comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from logserver_segments.committer import LossReason

from logserver.broker import Partition
from logserver.broker.peers import LocalPeers
from logserver.coordinator.transactions.coordinator import TRANSACTION_STATE
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import until
from tests.broker.nodes import KINDS

from ..nodes import refuses, turns
from .nodes import TransactionsNode

PARTITIONS = 3


@pytest_asyncio.fixture(params=KINDS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TransactionsNode]:
    """A node over each kind of storage, with a topic of three partitions."""
    node = await TransactionsNode(tmp_path / "data", request.param).start()
    await node.node.topic("t", PARTITIONS)
    yield node
    await node.stop()


async def test_a_transaction_over_everything(node: TransactionsNode) -> None:
    producer = node.producer()
    await producer.init()
    for round_number, commit in enumerate((True, False, True)):
        for number in range(PARTITIONS):
            await producer.send(f"{round_number}", number=number)
        await producer.commit_offset(round_number + 1)
        await producer.end(commit)
        await node.settled()
        for number in range(PARTITIONS):
            assert await node.visible(number) == [str(one) for one in range(round_number + 1) if one != 1]
        assert await node.committed() == (round_number + 1 if commit else 1)
    assert await node.groups.pending("g") == set()


class Stop(Exception):
    """The process ends here."""


class StopAtAppend:
    """Ends everything before the n-th append of the server's own, or just after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
        self.left: int | None = None
        self.stopped = False
        for name in ("append_own", "append_marker"):
            monkeypatch.setattr(Partition, name, self._counted(getattr(Partition, name), after))

    def _counted(self, real: Callable[..., Any], after: bool) -> Callable[..., Any]:
        def append(partition: Partition, *arguments: Any) -> Any:
            if self.stopped:
                raise Stop
            if self.left is None:
                return real(partition, *arguments)
            self.left -= 1
            if self.left >= 0:
                return real(partition, *arguments)
            self.stopped = True
            if after:
                real(partition, *arguments)
            raise Stop

        return append


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("commit", [True, False], ids=["commit", "abort"])
async def test_an_end_that_is_interrupted_anywhere_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool, commit: bool
) -> None:
    """A crash before or after each append of an end: what is found then is all of the transaction or nothing."""
    for steps in range(30):
        node = await TransactionsNode(tmp_path / f"{steps}").start()
        await node.node.topic("t", PARTITIONS)
        producer = node.producer()
        await producer.init()
        await producer.send("before")
        await producer.end()
        await node.settled()
        for number in range(PARTITIONS):
            await producer.send("a", "b", number=number)
        await producer.commit_offset(7)
        stop = StopAtAppend(monkeypatch, after)
        stop.left = steps
        ending = asyncio.ensure_future(producer.end(commit))
        await until(lambda ending=ending, stop=stop, node=node: stop.stopped or _is_over(node, ending))  # type: ignore[misc]
        was_interrupted = stop.stopped
        was_answered = ending.done() and ending.exception() is None
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        await node.crash()
        monkeypatch.undo()
        await node.start()
        await node.settled()
        # The producer's successor ends what was not decided.
        await node.producer().init()
        await node.settled()
        seen = [await node.visible(number) for number in range(PARTITIONS)]
        offset = await node.committed()
        assert seen in ([["before", "a", "b"], ["a", "b"], ["a", "b"]], [["before"], [], []])
        is_committed = seen[1] != []
        assert offset == (7 if is_committed else None)
        if not commit:
            assert not is_committed
        elif was_answered:
            assert is_committed
        for number in range(PARTITIONS):
            partition = node.node.broker.partition("t", number)
            assert partition.last_stable_offset == partition.high_watermark
        assert await node.groups.pending("g") == set()
        await node.stop()
        if not was_interrupted:
            assert is_committed == commit
            assert steps > PARTITIONS
            return
    raise AssertionError("an end never comes to its end")


def _is_over(node: TransactionsNode, ending: "asyncio.Future[None]") -> bool:
    return ending.done() and not any(shard._endings for shard in node.transactions._shards)


async def test_a_transaction_stays_open_over_a_restart(node: TransactionsNode) -> None:
    producer = node.producer()
    await producer.init()
    await producer.send("a")
    await producer.commit_offset(3)
    await node.crash()
    await node.start()
    await node.settled()
    assert await node.visible() == []
    assert await node.groups.pending("g") == {("t", 0)}
    await producer.send("b")
    await producer.end()
    await node.settled()
    assert await node.visible() == ["a", "b"]
    assert await node.committed() == 3


async def test_a_transaction_that_is_forgotten_is_aborted_after_a_restart(node: TransactionsNode) -> None:
    producer = node.producer()
    await producer.init(timeout_ms=5_000)
    await producer.send("lost")
    await node.crash()
    await node.start()
    await node.settled()
    node.clock.advance(5_001)
    for shard in node.transactions._shards:
        shard._time()
    await turns()
    await until(lambda: node.node.broker.partition("t", 0).last_stable_offset == 2)
    assert await node.visible() == []
    with refuses(ErrorCode.invalid_producer_epoch):
        await producer.send("late")


async def test_markers_wait_for_a_partition_that_is_away(
    node: TransactionsNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logserver.coordinator.transactions.runtime._FIRST_DELAY_S", 0.0)
    monkeypatch.setattr("logserver.coordinator.transactions.runtime._MOST_DELAY_S", 0.0)
    producer = node.producer()
    await producer.init()
    for number in range(PARTITIONS):
        await producer.send("a", number=number)
    away = node.node.broker.partition("t", 1)
    node.resign(away)
    await producer.end()
    await until(lambda: node.node.broker.partition("t", 2).last_stable_offset == 2)
    await turns()
    assert await node.visible(0) == ["a"]
    with refuses(ErrorCode.concurrent_transactions):
        monkeypatch.setattr("logserver.coordinator.transactions.coordinator._MOST_WAIT_S", 0.0)
        await producer.send("b")
    node.lead(away)
    await node.settled()
    assert await node.visible(1) == ["a"]
    producer._sequences.clear()
    await producer.send("b")


async def test_whoever_leads_the_transactions_next_ends_them(node: TransactionsNode) -> None:
    producer = node.producer()
    await producer.init()
    await producer.send("a")
    partition = node.transactions._shards.find("x").partition  # type: ignore[union-attr]
    for turn in range(20):
        ending = asyncio.ensure_future(producer.end())
        await turns(turn)
        node.resign(partition)
        try:
            await ending
        except LogServerError as error:
            assert error.code is ErrorCode.not_coordinator
        node.lead(partition)
        await node.settled()
        if not ending.exception():
            break
    else:
        raise AssertionError("it never ends")
    assert await node.visible() == ["a"]


async def test_what_is_lost_was_not_answered(tmp_path: Path) -> None:
    """A decision that the disk does not take is no decision: the transaction is as open as before."""
    node = await TransactionsNode(tmp_path / "data", "held").start()
    await node.node.topic("t", 1)
    producer = node.producer()
    await node.committing(producer.init())
    await node.committing(producer.send("a"))
    shard = node.transactions._shards.find("x")
    assert shard is not None
    ending = asyncio.ensure_future(producer.end())
    await turns()
    assert not ending.done()
    node.node.lose(shard.partition, LossReason.FENCED, "somebody else leads it")
    with refuses(ErrorCode.not_coordinator):
        await ending
    await node.stop()


async def test_the_topic_of_transactions_is_compacted(node: TransactionsNode) -> None:
    await node.producer().init()
    topic = node.node.broker.topic(TRANSACTION_STATE)
    assert topic.internal and topic.settings.cleanup_policy == ("compact",)
    assert len(topic.partitions) == 3


@pytest.mark.parametrize("what", ["records", "offsets"])
async def test_a_marker_that_comes_late_does_not_spoil_the_next_transaction(
    node: TransactionsNode, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """An end is answered before its markers are written; the producer may write again where one is still to come."""
    may_write = asyncio.Event()
    real = LocalPeers.write_markers

    async def late(*arguments: Any) -> Any:
        await may_write.wait()
        return await real(*arguments)

    monkeypatch.setattr(LocalPeers, "write_markers", late)
    producer = node.producer()
    await producer.init()
    await producer.send("a")
    await producer.commit_offset(1)
    await producer.end()
    going_on = asyncio.ensure_future(producer.send("b") if what == "records" else producer.commit_offset(2))
    await turns()
    assert not going_on.done()
    may_write.set()
    await going_on
    await producer.end()
    await node.settled()
    assert await node.visible() == (["a", "b"] if what == "records" else ["a"])
    assert await node.committed() == (1 if what == "records" else 2)
