"""What Kafka does not keep of a state, in a record of our own that follows Kafka's in the same batch.

A key as Kafka's with a type of its own, and a value of varints (`varints`): version 0 as two bytes, `epoch`,
`reserve_end`, `last_intent`, the moves, the ranges with extras. A range is the distance from the one before, its
offsets less one, a number of flags, and the fields that the flags name: each as what it differs from the last one of
its kind.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.stored import NO_EXTRAS, Extras, StoredRange
from logserver.coordinator.delivery.unsettled import NEVER
from logserver.coordinator.formats.errors import UnknownRecordVersion
from logserver.coordinator.formats.primitives import INT16, Reader
from logserver.coordinator.share_state.formats import EXTRAS, MAX_COUNT
from logserver.coordinator.share_state.varints import MAX_INT64, Cursor, put, put_signed, put_text, signed

_VERSION: Final = INT16.pack(0)
_WHAT: Final = "value of a queue's state"

# What a range has: the frequent ones first, so that their number takes one byte.
_HELD: Final = 1
_REDELIVERED: Final = 2
_FIRST_MS: Final = 4
_LAST_MS: Final = 8
_NUMBER: Final = 16
_UNTIL_MS: Final = 32
_FAILURES: Final = 64
_OUTLIVES: Final = 128
_INTENT: Final = 256
_MORE: Final = 512
_ALL: Final = 1023

_MOVE_BYTES: Final = 13
"""The least that a move takes."""


class ExtrasRange(NamedTuple):
    """What offsets have beyond Kafka's state: both ends inclusive."""

    first: int
    last: int
    more: int
    """Acquisitions beyond those that Kafka's record can say."""
    extras: Extras


class ExtrasValue(NamedTuple):
    """What Kafka does not keep; see `Stored`."""

    epoch: int
    reserve_end: int
    last_intent: int
    moves: Sequence[Move] = ()
    ranges: Sequence[ExtrasRange] = ()
    """In the order of their offsets."""


def has_extras(ranges: Iterable[StoredRange]) -> bool:
    """Whether one of them has something that Kafka does not keep."""
    return any(found.extras != NO_EXTRAS or found.acquisitions > MAX_COUNT for found in ranges)


def encode_extras(value: ExtrasValue, ranges: Iterable[StoredRange] = ()) -> bytes:
    """Returns the value of a record.

    Args:
        value: without its ranges.
        ranges: instead of those.
    """
    out = bytearray(_VERSION)
    put(out, value.epoch)
    put_signed(out, value.reserve_end)
    put(out, value.last_intent)
    put(out, len(value.moves))
    for move in value.moves:
        _put_move(out, move)
    body = bytearray()
    put(out, _put_ranges(body, ranges))
    return bytes(out + body)


def _put_ranges(out: bytearray, ranges: Iterable[StoredRange]) -> int:
    """Appends those that have something; returns how many those are."""
    count = at = before_number = before_intent = before_first_ms = before_last_ms = before_until_ms = 0
    for first, last, _, acquisitions, extras in ranges:
        more = max(acquisitions - MAX_COUNT, 0)
        if not more and (extras is NO_EXTRAS or extras == NO_EXTRAS):
            continue
        count += 1
        put(out, first - at)
        put(out, last - first)
        at = last + 1
        failures, first_ms, last_ms, number, held, outlives, redelivered, until_ms, intent = extras
        # Written out, for there may be a hundred thousand of them.
        put(
            out,
            held * _HELD
            | redelivered * _REDELIVERED
            | (first_ms != NEVER) * _FIRST_MS
            | (last_ms != NEVER) * _LAST_MS
            | (number != NEVER) * _NUMBER
            | (until_ms != NEVER) * _UNTIL_MS
            | (failures != 0) * _FAILURES
            | outlives * _OUTLIVES
            | (intent != NEVER) * _INTENT
            | (more != 0) * _MORE,
        )
        if first_ms != NEVER:
            put_signed(out, first_ms - before_first_ms)
            before_first_ms = first_ms
        if last_ms != NEVER:
            put_signed(out, last_ms - before_last_ms)
            before_last_ms = last_ms
        if number != NEVER:
            put_signed(out, number - before_number)
            before_number = number
        if until_ms != NEVER:
            put_signed(out, until_ms - before_until_ms)
            before_until_ms = until_ms
        if failures:
            put(out, failures)
        if intent != NEVER:
            put_signed(out, intent - before_intent)
            before_intent = intent
        if more:
            put(out, more)
    return count


def _put_move(out: bytearray, move: Move) -> None:
    put(out, move.intent)
    put(out, move.first)
    put(out, move.last - move.first)
    put_text(out, move.reason)
    put_text(out, move.destination.topic)
    put_signed(out, NEVER if move.destination.partition is None else move.destination.partition)
    put(out, move.acquisitions)
    put(out, move.failures)
    put_signed(out, move.first_ms)
    put_signed(out, move.last_ms)
    put_signed(out, move.at_ms)
    put_signed(out, move.from_offset)
    put_text(out, move.refusal)


def decode_extras(data: bytes) -> ExtrasValue:
    """Returns what a record says.

    Raises:
        UnknownRecordVersion: a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole value of that version, or more than that.
    """
    version = Reader(data, _WHAT).int16("version")
    if version != 0:
        raise UnknownRecordVersion(f"version {version} of a queue's state is not known here", EXTRAS, version)
    cursor = Cursor(data, len(_VERSION), _WHAT)
    epoch, reserve_end, last_intent = cursor.number(), cursor.signed(), cursor.number()
    moves = [_read_move(cursor) for _ in range(cursor.count(_MOVE_BYTES))]
    return ExtrasValue(epoch, reserve_end, last_intent, moves, _read_ranges(cursor, cursor.count(3)))


def _read_move(cursor: Cursor) -> Move:
    intent, first = cursor.number(), cursor.number()
    last = first + cursor.number()
    reason, topic, partition = cursor.text(), cursor.text(), cursor.signed()
    return Move(
        intent,
        first,
        last,
        reason,
        Destination(topic, None if partition == NEVER else partition),
        cursor.number(),
        cursor.number(),
        cursor.signed(),
        cursor.signed(),
        cursor.signed(),
        from_offset=cursor.signed(),
        refusal=cursor.text(),
    )


def _read_ranges(cursor: Cursor, count: int) -> list[ExtrasRange]:
    numbers = cursor.numbers()
    found: list[ExtrasRange] = []
    at = number = intent = first_ms = last_ms = until_ms = 0
    try:
        for _ in range(count):
            first = at + next(numbers)
            last = first + next(numbers)
            at = last + 1
            flags = next(numbers)
            if flags > _ALL:
                raise cursor.fault(f"there are no flags {flags:#x}")
            if flags & _FIRST_MS:
                first_ms += signed(next(numbers))
            if flags & _LAST_MS:
                last_ms += signed(next(numbers))
            if flags & _NUMBER:
                number += signed(next(numbers))
            if flags & _UNTIL_MS:
                until_ms += signed(next(numbers))
            failures = next(numbers) if flags & _FAILURES else 0
            if flags & _INTENT:
                intent += signed(next(numbers))
            extras = Extras(
                failures,
                first_ms if flags & _FIRST_MS else NEVER,
                last_ms if flags & _LAST_MS else NEVER,
                number if flags & _NUMBER else NEVER,
                bool(flags & _HELD),
                bool(flags & _OUTLIVES),
                bool(flags & _REDELIVERED),
                until_ms if flags & _UNTIL_MS else NEVER,
                intent if flags & _INTENT else NEVER,
            )
            found.append(ExtrasRange(first, last, next(numbers) if flags & _MORE else 0, extras))
    except StopIteration:
        raise cursor.fault(f"{count} ranges are claimed to follow, and only {len(found)} do") from None
    if next(numbers, None) is not None:
        raise cursor.fault("there is more behind the last range")
    if at > MAX_INT64:
        raise cursor.fault(f"there is no offset {at - 1}")
    return found
