"""The records of `__queue_history`: what became of a key's records in one round.

A key is a type of our own, the group, the topic's id and the partition; a value is made of varints (`varints`): version
0 as two bytes, the texts that its chapters name, and the chapters. Offsets, times and numbers are what they differ from
those before.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from logserver.coordinator.delivery.events import Event, EventKind
from logserver.coordinator.delivery.unsettled import NEVER
from logserver.coordinator.formats.errors import UnknownRecordVersion
from logserver.coordinator.formats.primitives import INT16, Reader
from logserver.coordinator.share_state.formats import encode_key
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.share_state.varints import MAX_INT64, Cursor, put, put_signed, put_text, signed

STORY: Final = 0x4C10

_VERSION: Final = INT16.pack(0)
_WHAT: Final = "chapters of a queue's story"
_EVENT_BYTES: Final = 10
"""The least that a chapter takes."""

_KINDS: Final = (
    EventKind.ACQUIRED,
    EventKind.ACKNOWLEDGED,
    EventKind.RELEASED,
    EventKind.FAILED,
    EventKind.LAPSED,
    EventKind.OWNER_GONE,
    EventKind.EXTENDED,
    EventKind.MOVING,
    EventKind.MOVED,
    EventKind.DROPPED,
    EventKind.PURGED,
)
"""By their numbers in a record: new ones come at the end."""
_NUMBERS: Final = {kind: number for number, kind in enumerate(_KINDS)}


def story_key(key: StateKey) -> bytes:
    """Returns the key of a record."""
    return encode_key(STORY, key)


def encode_events(events: Sequence[Event]) -> bytes:
    """Returns the value of a record."""
    texts: dict[str, int] = {}
    body = bytearray()
    at = at_ms = number = 0
    for event in events:
        put(body, _NUMBERS[event.kind])
        put_signed(body, event.first - at)
        put(body, event.last - event.first)
        at = event.last + 1
        put_signed(body, event.at_ms - at_ms)
        at_ms = event.at_ms
        put(body, texts.setdefault(event.owner, len(texts)))
        put_signed(body, event.number - number)
        number = event.number
        put(body, event.acquisitions)
        put(body, event.failures)
        put(body, texts.setdefault(event.reason, len(texts)))
        # One behind, so that 0 can say that there is none.
        distance = event.until_ms - at_ms
        put_signed(body, 0 if event.until_ms == NEVER else distance + (distance >= 0))
    out = bytearray(_VERSION)
    put(out, len(texts))
    for text in texts:
        put_text(out, text)
    put(out, len(events))
    return bytes(out + body)


def decode_events(data: bytes) -> Iterator[Event]:
    """Yields what a record tells.

    Raises:
        UnknownRecordVersion: a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole value of that version, or more than that.
    """
    version = Reader(data, _WHAT).int16("version")
    if version != 0:
        raise UnknownRecordVersion(f"version {version} of {_WHAT} is not known here", STORY, version)
    cursor = Cursor(data, len(_VERSION), _WHAT)
    texts = [cursor.text() for _ in range(cursor.count(1))]
    count = cursor.count(_EVENT_BYTES)
    numbers = cursor.numbers()
    at = at_ms = number = 0
    try:
        for _ in range(count):
            kind = _KINDS[next(numbers)]
            first = at + signed(next(numbers))
            last = first + next(numbers)
            at = last + 1
            at_ms += signed(next(numbers))
            owner = texts[next(numbers)]
            number += signed(next(numbers))
            acquisitions, failures = next(numbers), next(numbers)
            reason = texts[next(numbers)]
            distance = signed(next(numbers))
            until_ms = at_ms + distance - (distance > 0) if distance else NEVER
            if not 0 <= first <= last <= MAX_INT64:
                raise cursor.fault(f"there are no offsets {first}..{last}")
            yield Event(kind, first, last, at_ms, owner, number, acquisitions, failures, reason, until_ms)
    except (StopIteration, IndexError):
        raise cursor.fault(f"there are not {count} whole chapters") from None
    if next(numbers, None) is not None:
        raise cursor.fault("there is more behind the last chapter")
