"""Messages about transactions as descriptions."""

from logserverpb.v1 import transactions_pb2

from logserver_client.descriptions import Transaction, TransactionSummary
from logserver_client.types import TopicPartition


def summary(message: transactions_pb2.TransactionListing) -> TransactionSummary:
    return TransactionSummary(message.transactional_id, message.producer_id, message.state)


def transaction(message: transactions_pb2.TransactionDescription) -> Transaction:
    return Transaction(
        transactional_id=message.transactional_id,
        state=message.state,
        producer_id=message.producer_id,
        producer_epoch=message.producer_epoch,
        timeout_ms=message.timeout_ms,
        start_timestamp_ms=message.start_timestamp if message.start_timestamp >= 0 else None,
        partitions=tuple(sorted(TopicPartition(tp.topic, tp.partition) for tp in message.partitions)),
    )
