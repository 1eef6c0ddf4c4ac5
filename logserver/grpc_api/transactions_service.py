"""The `Transactions` service."""

from functools import partial
from typing import Final

from logserverpb.v1 import groups_pb2, log_pb2, transactions_pb2

from logserver.broker import Broker
from logserver.coordinator import Commit, GroupCoordinator
from logserver.coordinator.requests import Transaction
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.coordinator.transactions.requests import EndTransaction, InitProducerId, ProducerIdentity
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.convert import check_count
from logserver.grpc_api.errors import Context, answered
from logserver.grpc_api.offsets import commit_results, offsets_to_commit

_NONE: Final = -1
_DEFAULT_TIMEOUT_MS: Final = 60_000


class TransactionsService:
    """Servicer of `logserver.v1.Transactions`."""

    def __init__(self, broker: Broker, groups: GroupCoordinator, transactions: TransactionCoordinator) -> None:
        self._broker = broker
        self._groups = groups
        self._transactions = transactions

    @answered
    async def InitProducer(
        self, request: transactions_pb2.InitProducerRequest, context: Context
    ) -> transactions_pb2.ProducerIdentity:
        """Gives a transactional producer its id and epoch."""
        if request.HasField("producer_id") != request.HasField("producer_epoch"):
            raise LogServerError(ErrorCode.invalid_request, "give both producer_id and producer_epoch, or neither")
        init = InitProducerId(
            request.transactional_id,
            request.timeout_ms or _DEFAULT_TIMEOUT_MS,
            request.producer_id if request.HasField("producer_id") else _NONE,
            request.producer_epoch if request.HasField("producer_epoch") else _NONE,
        )
        return _identity(await self._transactions.init_producer_id(init))

    @answered
    async def EndTransaction(
        self, request: transactions_pb2.EndTransactionRequest, context: Context
    ) -> transactions_pb2.ProducerIdentity:
        """Commits or aborts."""
        end = EndTransaction(request.transactional_id, request.producer_id, request.producer_epoch, request.commit)
        return _identity(await self._transactions.end(end))

    @answered
    async def CommitOffsets(
        self, request: transactions_pb2.CommitTransactionOffsetsRequest, context: Context
    ) -> groups_pb2.CommitOffsetsResponse:
        """Stores offsets that count once the transaction is committed."""
        check_count(len(request.offsets), self._broker.settings.max_request_partition_size_limit)
        offsets = offsets_to_commit(request.offsets)
        is_member = request.HasField("member_id")
        commit = Commit(
            request.group_id,
            request.member_id if is_member else "",
            request.member_epoch if is_member else _NONE,
            offsets,
        )
        transaction = Transaction(request.transactional_id, request.producer_id, request.producer_epoch)
        enlist = partial(self._transactions.enlist, add=True)
        errors = await self._groups.commit_in_transaction(commit, transaction, enlist, adds=True)
        return groups_pb2.CommitOffsetsResponse(results=commit_results(offsets, errors))

    @answered
    async def ListTransactions(
        self, request: transactions_pb2.ListTransactionsRequest, context: Context
    ) -> transactions_pb2.ListTransactionsResponse:
        """Lists transactional ids."""
        found = await self._transactions.list(
            request.states, request.producer_ids, request.longer_than_ms if request.longer_than_ms > 0 else _NONE
        )
        if found.unknown_states:
            raise LogServerError(
                ErrorCode.invalid_request, f"{found.unknown_states[0][:100]!r} is no state of a transaction"
            )
        return transactions_pb2.ListTransactionsResponse(
            transactions=(
                transactions_pb2.TransactionListing(
                    transactional_id=one.transactional_id, producer_id=one.producer_id, state=one.state
                )
                for one in found.transactions
            )
        )

    @answered
    async def DescribeTransaction(
        self, request: transactions_pb2.DescribeTransactionRequest, context: Context
    ) -> transactions_pb2.TransactionDescription:
        """Describes the transaction of a transactional id."""
        found = await self._transactions.describe(request.transactional_id)
        return transactions_pb2.TransactionDescription(
            transactional_id=request.transactional_id,
            state=found.state,
            producer_id=found.producer_id,
            producer_epoch=found.producer_epoch,
            timeout_ms=found.timeout_ms,
            start_timestamp=found.start_timestamp_ms,
            partitions=(
                log_pb2.TopicPartition(topic=topic, partition=number)
                for topic, numbers in found.partitions
                for number in numbers
            ),
        )


def _identity(found: ProducerIdentity) -> transactions_pb2.ProducerIdentity:
    return transactions_pb2.ProducerIdentity(producer_id=found.producer_id, producer_epoch=found.producer_epoch)
