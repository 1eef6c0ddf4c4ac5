"""TxnOffsetCommit (key 28), versions 0 to 5.

Behavior: stores a group's offsets inside a producer's transaction: they count once it is committed, and are gone if it
is aborted. In whose name they are committed is checked where the producer tells it (KIP-447), so that a consumer that
has lost its partitions can't end what it has read from them.

Version notes: 2 brought leader epochs (KIP-320), 3 member, generation and static members (KIP-447), 4
TRANSACTION_ABORTABLE, 5 that this itself adds the group's partition to the transaction (KIP-890).

Source: KIP-98, KIP-447, KIP-890; Apache Kafka: `OffsetMetadataManager.commitTransactionalOffset`.

Not done: nothing.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from logserver.coordinator.requests import Commit, OffsetToCommit, Transaction
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_ABORTABLE: Final = 4
_ADDS: Final = 5


async def _handle(call: Call, request: Struct) -> Response:
    offsets = [
        OffsetToCommit(
            topic.name,
            partition.partition_index,
            partition.committed_offset,
            partition.committed_leader_epoch,
            partition.committed_metadata or "",
        )
        for topic in request.topics
        for partition in topic.partitions
    ]
    # Before anything is asked about the transaction, as Kafka does.
    unknown: int = ErrorCode.unknown_topic_or_partition.value
    codes = {(offset.topic, offset.partition): unknown for offset in offsets if not _is_known(call, offset)}
    offsets = [offset for offset in offsets if (offset.topic, offset.partition) not in codes]
    if not offsets:
        return {"topics": [_topic(topic, codes) for topic in request.topics]}
    commit = Commit(request.group_id, request.member_id, request.generation_id, offsets, request.group_instance_id)
    transaction = Transaction(request.transactional_id, request.producer_id, request.producer_epoch)
    enlist = partial(call.services.transactions.enlist, add=call.version >= _ADDS)
    try:
        errors = await call.services.groups.commit_in_transaction(
            commit, transaction, enlist, adds=call.version >= _ADDS
        )
    except LogServerError as error:
        code = _code(error, call.version)
        codes |= {(offset.topic, offset.partition): code for offset in offsets}
    else:
        codes |= {
            (offset.topic, offset.partition): _code(error_of_one, call.version)
            for offset, error_of_one in zip(offsets, errors, strict=True)
        }
    return {"topics": [_topic(topic, codes) for topic in request.topics]}


def _is_known(call: Call, offset: OffsetToCommit) -> bool:
    topic = call.services.groups.topics.by_name(offset.topic)
    return topic is not None and 0 <= offset.partition < topic.partitions


def _code(error: LogServerError | None, version: int) -> int:
    if error is None:
        return 0
    if error.code is ErrorCode.producer_fenced:
        # What producers expect of a partition that they write to.
        return ErrorCode.invalid_producer_epoch.value
    if error.code is ErrorCode.transaction_abortable and version < _ABORTABLE:
        return ErrorCode.invalid_txn_state.value
    return error.code.value


def _topic(topic: Struct, codes: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    return {
        "name": topic.name,
        "partitions": [
            {
                "partition_index": partition.partition_index,
                "error_code": codes[topic.name, partition.partition_index],
            }
            for partition in topic.partitions
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "topics": [
            _topic(topic, {(topic.name, partition.partition_index): code for partition in topic.partitions})
            for topic in request.topics
        ]
    }


API: Final = Api(28, "TxnOffsetCommit", 0, 5, handle=_handle, failed=_failed)
