"""The transactions of a producer: what it asks of the server, and what of its records goes along."""

import asyncio
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from logserverpb.v1 import transactions_pb2

from logserver_client._backoff import Backoff
from logserver_client._group.offsets import commit_message
from logserver_client._produce.batch import Batch
from logserver_client._produce.config import ProducerConfig
from logserver_client._produce.identity import NO_IDENTITY, Identity
from logserver_client._produce.sender import Sender
from logserver_client._produce.transaction_state import State, TransactionState
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.connection import Connection
from logserver_client._transport.status import error_from_message
from logserver_client.errors import (
    LogServerError,
    RequestTimedOut,
    commit_failed,
    request_timed_out,
    transaction_aborted,
)
from logserver_client.types import GroupMetadata, OffsetAndMetadata, TopicPartition

_DOOMED: Final = frozenset({"INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE", "TRANSACTION_ABORTABLE", "PRODUCER_FENCED"})
"""What a partition says of a transaction that is not open any more: whether it was fenced or has timed out the
coordinator knows, whom the abort asks."""


class Transactions:
    """The transactions of one producer; on the event loop.

    Args:
        sender: sends the producer's batches, under the identity that is given to it here.
    """

    def __init__(self, config: ProducerConfig, cluster: Cluster, sender: Sender, state: TransactionState) -> None:
        assert config.transactional_id is not None
        self._config = config
        self._id = config.transactional_id
        self._cluster = cluster
        self._sender = sender
        self._random = Random()
        self.state = state
        # One end at a time: a second thread, or what follows an interrupted end, finds out what has come of it.
        self._ending = asyncio.Lock()
        sender.transactions = self

    # From the sender.

    def batch_ended(self, batch: Batch) -> None:
        """Takes in what has become of a batch."""
        self.state.was_used = True
        if batch.error is not None and not batch.parts:
            self.state.failed(batch.error)

    def partition_failed(self, error: LogServerError) -> None:
        """Takes in what the server says of a batch, which may be sent again."""
        if error.name in _DOOMED:
            self.state.failed(LogServerError(error.code, "TRANSACTION_ABORTABLE", error.message))

    # For the user.

    async def init(self, timeout_s: float) -> None:
        """Takes the transactional id, unless that is done.

        Raises:
            ProducerFenced: it was taken from this producer before.
            RequestTimedOut, LogServerError: it can't be had.
        """
        if self.state.state is not State.NEW:
            if self.state.state is State.FENCED:
                self.state.check("the producer can't be initialized")
            return
        request = transactions_pb2.InitProducerRequest(
            transactional_id=self._id, timeout_ms=round(self._config.transaction_timeout_ms)
        )
        self._take(await self._ask(lambda one: one.transactions.InitProducer, request, timeout_s))
        self.state.initialized()

    async def begin(self, timeout_s: float) -> None:
        """Opens a transaction.

        Raises:
            LogServerError: as `init`; InvalidTransactionState if one is open.
        """
        await self.init(timeout_s)
        self.state.begin()

    async def commit_offsets(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: GroupMetadata, timeout_s: float
    ) -> None:
        """Commits offsets of a group in the open transaction.

        Raises:
            TransactionFailed: the group has given its partitions to somebody else, or the offsets are refused.
        """
        # A commit by another thread waits for them: overtaken they would be refused as those of a fenced producer.
        async with self._ending:
            await self._commit_offsets(offsets, group, timeout_s)

    async def _commit_offsets(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: GroupMetadata, timeout_s: float
    ) -> None:
        self.state.check("offsets can be committed in an open transaction only", State.OPEN)
        if not offsets:
            return
        self.state.was_used = True
        request = transactions_pb2.CommitTransactionOffsetsRequest(
            transactional_id=self._id,
            producer_id=self._sender.identity.producer_id,
            producer_epoch=self._sender.identity.producer_epoch,
            group_id=group.group_id,
            member_id=group.member_id or None,
            member_epoch=group.member_epoch if group.member_id else 0,
            offsets=[commit_message(tp, offset) for tp, offset in offsets.items()],
        )
        try:
            answer = await self._ask(lambda one: one.transactions.CommitOffsets, request, timeout_s)
            errors = {
                TopicPartition(result.topic, result.partition): error_from_message(result.error)
                for result in answer.results
                if result.HasField("error")
            }
            if errors:
                raise commit_failed(errors)
        except LogServerError as error:
            self.state.failed(error)
            self.state.check("offsets can't be committed")
            raise

    async def end(self, commit: bool, timeout_s: float) -> None:
        """Commits or aborts the open transaction; may be repeated when nobody could say what has come of it.

        Raises:
            ProducerFenced: another producer has taken the transactional id.
            TransactionFailed: it can't be committed; abort it.
            RequestTimedOut: it is not known whether it has ended: ask for the same again.
        """
        async with self._ending:
            await self._end(commit, timeout_s)

    async def _end(self, commit: bool, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        if commit:
            await self._flush(timeout_s)
        self.state.end(commit)
        if not commit:
            self._sender.fail_all(transaction_aborted(f"the transaction of {self._id!r} was aborted"))
        if self.state.was_used:
            identity = self._sender.identity
            request = transactions_pb2.EndTransactionRequest(
                transactional_id=self._id,
                producer_id=identity.producer_id,
                producer_epoch=identity.producer_epoch,
                commit=commit,
            )
            try:
                left_s = max(deadline_s - time.monotonic(), 0.0)
                self._take(await self._ask(lambda one: one.transactions.EndTransaction, request, left_s))
            except RequestTimedOut:
                raise
            except LogServerError as error:
                self.state.failed(error)
                if self.state.state in (State.FAILED, State.FENCED):
                    self.state.check("the transaction can't be ended")
                raise
        self.state.ended()

    async def _flush(self, timeout_s: float) -> None:
        """Waits for all records; what has failed is found in the state."""
        # What threads send from here on is refused, so that nothing of it goes along with the next transaction.
        self.state.flush()
        try:
            async with asyncio.timeout(timeout_s):
                await self._sender.flush()
        except TimeoutError:
            self.state.flush_given_up()
            raise request_timed_out(
                f"the records of the transaction were not acknowledged within {timeout_s:g} s; commit again, or abort"
            ) from None
        except BaseException:
            self.state.flush_given_up()
            raise

    def _take(self, identity: transactions_pb2.ProducerIdentity) -> None:
        found = Identity(identity.producer_id, identity.producer_epoch)
        assert found != NO_IDENTITY
        self._sender.identity = found

    async def _ask(self, method: Callable[[Connection], Callable[..., Any]], request: Any, timeout_s: float) -> Any:
        """Asks until there is an answer.

        Raises:
            RequestTimedOut: there was none in time.
            LogServerError: the refusal.
        """
        backoff = Backoff(self._config.retry_backoff_ms, self._config.retry_backoff_max_ms, self._random)
        last: LogServerError | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        return await self._cluster.ask(method, request)
                    except LogServerError as error:
                        if not error.retriable:
                            raise
                        last = error
                        await asyncio.sleep(backoff.next_delay_s())
        except TimeoutError:
            heard = f"; the last one was: {last.message}" if last is not None else ""
            raise request_timed_out(
                f"no answer about the transaction of {self._id!r} within {timeout_s:g} s{heard}"
            ) from last
