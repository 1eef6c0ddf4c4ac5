"""Transactions of the bundled client whose end meets other threads, late answers and interruptions."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from logserver_client import (
    InvalidTransactionState,
    LogServerError,
    Producer,
    RequestTimedOut,
    TopicPartition,
    aio,
    replay,
)
from logserver_client._background import BACKGROUND
from logserver_client._produce.flow import Flow
from logserver_client._produce.node_sender import NodeSender
from logserver_client._produce.sender import Sender
from logserver_client._produce.transaction_state import State
from logserver_client._transport.cluster import Cluster
from logserverpb.v1 import transactions_pb2


def committed(address: str, topic: str) -> list[bytes | None]:
    return [record.value for record in replay(address, topic, isolation_level="read_committed")]


class Held:
    """Acknowledgements that don't reach the producer until `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._held: list[tuple[Any, ...]] | None = None
        self.arrived = threading.Event()
        self._real = NodeSender._acknowledge
        monkeypatch.setattr(NodeSender, "_acknowledge", lambda *arguments: self._acknowledge(*arguments))

    def _acknowledge(self, *arguments: Any) -> None:
        if self._held is None:
            self._real(*arguments)
        else:
            self._held.append(arguments)
            self.arrived.set()

    def hold(self) -> None:
        self.arrived.clear()
        self._held = []

    def release(self) -> None:
        async def release() -> None:
            held, self._held = self._held or [], None
            for arguments in held:
                self._real(*arguments)

        BACKGROUND.run(release())


@contextmanager
def in_thread(run: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def test_what_a_thread_sends_while_another_commits_is_refused(
    address: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would come behind the commit, in a transaction that nobody has begun."""
    held = Held(monkeypatch)
    with Producer(address, transactional_id=topic, linger_ms=60_000) as producer:
        producer.begin_transaction()
        held.hold()
        producer.send(topic, b"a")
        with in_thread(producer.commit_transaction):
            assert held.arrived.wait(30)
            with pytest.raises(InvalidTransactionState):
                producer.send(topic, b"b")
            held.release()
        with producer.transaction():
            producer.send(topic, b"c")
    while (found := committed(address, topic)) != [b"a", b"c"]:
        assert found in ([], [b"a"])


def test_a_commit_that_could_not_flush_leaves_the_transaction_open(
    address: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    with Producer(address, transactional_id=topic) as producer:
        producer.begin_transaction()
        held.hold()
        producer.send(topic, b"a")
        with pytest.raises(RequestTimedOut):
            producer.commit_transaction(timeout=0.05)
        producer.send(topic, b"b")
        assert held.arrived.wait(30)
        held.release()
        producer.commit_transaction()
    while committed(address, topic) != [b"a", b"b"]:
        pass


def test_a_late_answer_of_an_aborted_transaction_is_nothing_to_the_next(
    address: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    refused: list[str] = []
    real = Sender.partition_failed

    def partition_failed(sender: Sender, flow: Flow, *arguments: Any) -> None:
        refused.extend(one.name for one in arguments if isinstance(one, LogServerError))
        real(sender, flow, *arguments)

    monkeypatch.setattr(Sender, "partition_failed", partition_failed)
    with Producer(address, transactional_id=topic) as producer:
        producer.begin_transaction()
        held.hold()
        producer.send(topic, b"lost")
        assert held.arrived.wait(30)
        producer.abort_transaction()
        # The server fences what comes from before the abort: such an answer, as if the batch had been late.
        for arguments in held._held or ():
            error = arguments[1].results[0].error
            error.code, error.name, error.message = 47, "INVALID_PRODUCER_EPOCH", "late"
        producer.begin_transaction()
        held.release()
        assert refused == ["INVALID_PRODUCER_EPOCH"]
        producer.send(topic, b"a")
        producer.commit_transaction()
    while committed(address, topic) != [b"a"]:
        pass


def test_an_interrupted_commit_is_aborted(address: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt while a commit waits for its records: the block's end aborts, and the next one may begin."""
    held = Held(monkeypatch)
    run = BACKGROUND.run

    def interrupted(coroutine: Any, timeout_s: float | None = None) -> Any:
        if coroutine.__qualname__ != "Transactions.end" or not held.arrived.wait(0):
            return run(coroutine, timeout_s)
        held.arrived.clear()
        try:
            return run(coroutine, 0.0)
        except TimeoutError:
            raise KeyboardInterrupt from None

    with Producer(address, transactional_id=topic) as producer:
        with pytest.raises(KeyboardInterrupt), producer.transaction():
            held.hold()
            producer.send(topic, b"lost")
            assert held.arrived.wait(30)
            monkeypatch.setattr(BACKGROUND, "run", interrupted)
        assert producer._core._transaction_state is not None
        assert producer._core._transaction_state.state is State.READY
        held.release()
        with producer.transaction():
            producer.send(topic, b"a")
    while committed(address, topic) != [b"a"]:
        pass


def test_closing_aborts_what_is_open(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic) as producer:
        producer.begin_transaction()
        producer.send(topic, b"lost")
    with Producer(address) as other:
        other.send(topic, b"a")
    # The server would take a minute to abort it: longer than a test may take.
    while committed(address, topic) != [b"a"]:
        pass


async def test_a_commit_does_not_overtake_offsets(address: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Cluster.ask

    async def ask(cluster: Cluster, method: Any, request: Any) -> Any:
        if isinstance(request, transactions_pb2.CommitTransactionOffsetsRequest):
            # On a slow way: time enough for a commit that does not wait.
            for _ in range(5000):
                await asyncio.sleep(0)
        return await real(cluster, method, request)

    monkeypatch.setattr(Cluster, "ask", ask)
    async with aio.Producer(address, transactional_id=topic) as producer:
        await producer.begin_transaction()
        await producer.send(topic, b"a", partition=0)
        offsets = asyncio.create_task(producer.send_offsets_to_transaction({TopicPartition(topic, 0): 1}, topic))
        await asyncio.sleep(0)
        await producer.commit_transaction()
        await offsets
    async with aio.AdminClient(address) as admin:
        while (await admin.committed_offsets(topic)).get(TopicPartition(topic, 0)) is None:
            pass
