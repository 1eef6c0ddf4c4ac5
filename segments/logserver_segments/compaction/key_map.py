"""The offset of the last record of each key, in memory whose size is fixed beforehand.

A table with open addressing, 24 bytes a slot: the offset and a digest of 128 bits (mmh3) of the key; no key is held.
Two keys with the same digest would count as one: at 10^9 keys the chance of any is 10^-21. (Kafka:
`SkimpyOffsetMap`, with MD5.)
"""

from collections.abc import Iterable
from typing import Final

from logserver_records.codec import KeyOfRecord
from mmh3 import mmh3_x64_128_utupledigest as digest

SLOT_BYTES: Final = 24
NONE: Final = -1


class KeyMap:
    """Offsets by key, as many keys as there is room for.

    Args:
        memory_bytes: of the table (inclusive).
        load_factor: which share of its slots may be taken; at least one key is.
        most_keys: as many as can come; the table is not larger than these need.
    """

    __slots__ = ("_capacity", "_slots", "_table", "size")

    def __init__(self, memory_bytes: int, load_factor: float, most_keys: int) -> None:
        wanted = min(memory_bytes // SLOT_BYTES, int(most_keys / load_factor) + 2)
        # A prime, so that whatever step a digest gives leads through all slots.
        self._slots = _prime_up_to(max(wanted, 3))
        # One slot is always free, so that looking for a key ends.
        self._capacity = min(max(int(self._slots * load_factor), 1), self._slots - 1)
        # Three words a slot, offset + 1 first, 0 where it is free.
        self._table = memoryview(bytearray(self._slots * SLOT_BYTES)).cast("Q")
        self.size = 0
        """Keys in it."""

    @property
    def capacity(self) -> int:
        """How many keys there is room for."""
        return self._capacity

    def put_all(self, records: Iterable[KeyOfRecord], from_offset: int = 0) -> int | None:
        """Takes up records from an offset on, in their order; those without a key do not count.

        Returns:
            The offset of the first record that there was no room for; None if all are in.
        """
        table, slots, room = self._table, self._slots, self._capacity - self.size
        for offset, key, _ in records:
            if key is None or offset < from_offset:
                continue
            high, low = digest(key)
            slot = high % slots
            step = 1 + low % (slots - 1)
            while True:
                at = slot * 3
                if not table[at]:
                    if not room:
                        self.size = self._capacity
                        return offset
                    room -= 1
                    table[at + 1] = high
                    table[at + 2] = low
                    break
                if table[at + 1] == high and table[at + 2] == low:
                    break
                slot += step
                if slot >= slots:
                    slot -= slots
            table[at] = offset + 1
        self.size = self._capacity - room
        return None

    def get(self, key: bytes) -> int:
        """Returns the offset of the last record of a key, `NONE` if there was none."""
        table, slots = self._table, self._slots
        high, low = digest(key)
        slot = high % slots
        step = 1 + low % (slots - 1)
        while True:
            at = slot * 3
            found = table[at]
            if not found:
                return NONE
            if table[at + 1] == high and table[at + 2] == low:
                return found - 1
            slot += step
            if slot >= slots:
                slot -= slots


def _prime_up_to(number: int) -> int:
    """Returns the largest prime that is at most a number of at least 3."""
    number -= number % 2 == 0
    while any(number % divisor == 0 for divisor in range(3, int(number**0.5) + 1, 2)):
        number -= 2
    return number
