"""Records of coordinators: a log of them is read as at a start, and time passes over what it says."""

import contextlib
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any

from logserver.coordinator.consumer_protocol import read_assignment, read_subscription, topics_of, write_assignment
from logserver.coordinator.decision import Decision
from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.events import Event, EventKind, Events
from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.policy import Backoff, Limit, Policy
from logserver.coordinator.delivery.stored import Extras, StoredRange, StoredState
from logserver.coordinator.delivery.storing import restored
from logserver.coordinator.formats import FormatError, decode, encode_key, encode_value
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.loading import Source, replay
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.share_state import loading as share_loading
from logserver.coordinator.share_state.extras_format import ExtrasValue, encode_extras
from logserver.coordinator.share_state.formats import EXTRAS
from logserver.coordinator.share_state.formats import encode_key as encode_state_key
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.coordinator.share_state.story_format import decode_events, encode_events
from logserver.coordinator.stored_groups import decode_stored
from logserver.coordinator.transactions import formats as transactions
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.shard import TransactionShard
from logserver.errors import LogServerError
from tests.coordinator.formats import broker_vectors, class_vectors, share_vectors
from tests.coordinator.share_state import kafka_vectors as share_state_vectors
from tests.coordinator.support import FakeTopics
from tests.coordinator.transactions import kafka_vectors as transaction_vectors
from tests.fuzz.targets.target import NOW_MS, Stored, Target, records_input

_DAY_MS = 86_400_000
_END = 5_000
_POLICY = Policy(Limit(5), Backoff(1_000), Destination("dead"))


def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Returns what a coroutine gives that waits for nobody and only lets others have their turn."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value


def subscriptions(data: bytes) -> None:
    """What the members of a classic group tell each other through the coordinator."""
    found = read_subscription(data)
    if found is not None:
        assert topics_of(data) == found.topics
    read_assignment(data)


def _subscriptions() -> Iterator[bytes]:
    for version in range(4):
        yield write_assignment(version, [("topic", 0), ("topic", 1), ("other", 7)])
    yield b"\x00\x03" + b"\x00\x00\x00\x01\x00\x01t" + b"\xff" * 4 + bytes(4) + b"\x00\x00\x00\x05" + b"\x00\x01r"


def group_records(data: bytes) -> None:
    """`__consumer_offsets`."""
    shard = GroupShard(GroupLimits(), FakeTopics(orders=3, topic=2))
    with contextlib.suppress(LogServerError):
        partition: Any = Stored(data)
        awaited(replay(Source(partition, "groups", decode_stored, shard.apply, shard.apply_pending)))
        shard.loaded(NOW_MS)
        shard.states()
        for now_ms in (NOW_MS + 1, NOW_MS + _DAY_MS, NOW_MS + 20 * _DAY_MS):
            for outcome in shard.expire(now_ms):
                if isinstance(outcome, Decision):
                    _carry_out(shard, outcome, now_ms)
                else:
                    _carry_out(shard, shard.assigned(outcome, outcome.run(), now_ms), now_ms)
        for producer_id in range(4):
            shard.end_transaction(producer_id, producer_id % 2 == 0)


def _carry_out(shard: GroupShard, decision: Decision[Any], now_ms: int) -> None:
    for key, value in decision.entries:
        shard.apply(*decode(encode_key(key), None if value is None else encode_value(value)), now_ms)
    shard.follow_up(decision.entries, now_ms)


def _group_records() -> Iterator[bytes]:
    for vectors in (broker_vectors.VECTORS, class_vectors.VECTORS, share_vectors.VECTORS):
        pairs = [(vector.key_data, vector.value_data) for vector in vectors]
        yield from (records_input([pair]) for pair in pairs)
        yield records_input(pairs[:40])
    pending = [(vector.key_data, vector.value_data) for vector in broker_vectors.VECTORS[:3]]
    # Of an open transaction, and of one that is committed.
    yield records_input(pending, 2)
    yield records_input(pending, 2) + records_input([(b"", b"")], 4 | 8)


def transaction_records(data: bytes) -> None:
    """`__transaction_state`."""
    shard = TransactionShard(TransactionLimits())
    with contextlib.suppress(LogServerError):
        partition: Any = Stored(data)
        awaited(replay(Source(partition, "transactions", transactions.decode, shard.apply)))
        shard.loaded(NOW_MS)
        for now_ms in (NOW_MS + 1, NOW_MS + _DAY_MS, NOW_MS + 20 * _DAY_MS):
            for decision in shard.expire(now_ms):
                for transactional_id, value in decision.entries:
                    if value is not None:
                        written = transactions.encode_value(value)
                        assert transactions.encode_value(transactions.decode_value(written)) == written
                    shard.apply(transactional_id, value, now_ms)
        for transactional_id in tuple(shard.pending()):
            transactions.encode_key(transactional_id)


def _transaction_records() -> Iterator[bytes]:
    pairs = [(vector.key_data, vector.value_data) for vector in transaction_vectors.VECTORS]
    yield from (records_input([pair]) for pair in pairs)
    yield records_input(pairs[:40])


def share_state_records(data: bytes) -> None:
    """`__share_group_state`: Kafka's records and our own beside them, and what somebody goes on from."""
    machine = ShareMachine(StateLimits())
    with contextlib.suppress(LogServerError):
        awaited(share_loading.replay(Stored(data), machine))  # type: ignore[arg-type]
        machine.loaded(NOW_MS)
        list(machine.expire(NOW_MS + _DAY_MS))
        for state in machine.states.values():
            state.summary()
            stored = state.image().stored
            if stored is not None:
                changes, order = Changes(), OffsetOrder()
                engine = restored(stored, 0, _END, _POLICY, order, Random(1), changes, Events(), now_ms=NOW_MS)
                engine.take_out_spent(NOW_MS)


def _share_state_records() -> Iterator[bytes]:
    vectors = share_state_vectors.VECTORS
    pairs: list[tuple[bytes, bytes | None]] = [(vector.key_data, vector.value_data) for vector in vectors]
    yield from (records_input([pair]) for pair in pairs)
    move = Move(1, 10, 12, "rejected", Destination("dead", None), 3, 1, NOW_MS, NOW_MS, NOW_MS)
    ranges = [
        StoredRange(2, 5, StoredState.AVAILABLE, 3, Extras(1, NOW_MS, NOW_MS, 7, True, True, True, NOW_MS + 5)),
        StoredRange(10, 12, StoredState.AVAILABLE, 40_000, Extras(intent=1)),
    ]
    extras = encode_extras(ExtrasValue(3, 20, 1, (move,)), ranges)
    own = encode_state_key(EXTRAS, share_state_vectors.BROKER_KEY), extras
    yield records_input([own])
    yield records_input([*pairs, own])


def queue_history(data: bytes) -> None:
    """`__queue_history`: what it tells is told the same when written again."""
    try:
        found = list(decode_events(data))
    except FormatError:
        return
    assert all(0 <= event.first <= event.last for event in found)


def _queue_history() -> Iterator[bytes]:
    yield encode_events(
        [
            Event(kind, number * 3, number * 3 + 2, NOW_MS + number, "owner", number, 1, 0, "reason", NOW_MS + 9)
            for number, kind in enumerate(EventKind)
        ]
    )


TARGETS = (
    Target(subscriptions, _subscriptions),
    Target(group_records, _group_records),
    Target(transaction_records, _transaction_records),
    Target(share_state_records, _share_state_records),
    Target(queue_history, _queue_history),
)
