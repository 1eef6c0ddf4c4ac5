"""The states of one partition of `__share_group_state`: what its records say, and what time asks for."""

from collections.abc import Iterable, Iterator
from typing import Final

from logserver.coordinator.share_state.extras_format import decode_extras
from logserver.coordinator.share_state.formats import EXTRAS, SNAPSHOT, decode_key, decode_snapshot, decode_update
from logserver.coordinator.share_state.key_state import KeyState
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.timers import Timers

PRUNE: Final = "prune"
"""It is time to give back the space of what is not needed any more."""

_PRUNE: Final = (PRUNE,)
_COLD: Final = ("cold",)

_RECORDS: Final = 4
"""Of a key, at most, that stay though they are not needed: a snapshot takes two."""


class ShareMachine:
    """States by their keys. Pure but for what it is told."""

    def __init__(self, limits: StateLimits) -> None:
        self.limits = limits
        self.timers = Timers()
        self.states: dict[StateKey, KeyState] = {}
        self.end = 0
        """Offset behind the last record."""

    def apply(self, key_data: bytes, value: bytes | None, offset: int, timestamp_ms: int) -> None:
        """Takes the next record of the log.

        Raises:
            FormatError: it can't be understood; UnknownRecordType if it is of a type that is not known here.
        """
        self.end = offset + 1
        record_type, key = decode_key(key_data)
        if value is None:
            if record_type == SNAPSHOT:
                self.states.pop(key, None)
            return
        if record_type == EXTRAS:
            extras = decode_extras(value)
            self.state(key).take_extras(extras)
        elif record_type == SNAPSHOT:
            snapshot = decode_snapshot(value)
            self.state(key).take_snapshot(snapshot, offset, len(value))
        else:
            update = decode_update(value)
            self.state(key).take_update(update, offset, len(value), timestamp_ms)

    def state(self, key: StateKey) -> KeyState:
        """Returns the state of a key, a new one if there is none."""
        state = self.states.get(key)
        if state is None:
            state = self.states[key] = KeyState()
        return state

    def loaded(self, now_ms: int) -> None:
        """Called once when everything that was stored has been applied."""
        self._set(now_ms, _PRUNE, self.limits.prune_interval_ms)
        self._set(now_ms, _COLD, self.limits.cold_interval_ms)

    def _set(self, now_ms: int, timer: tuple[str, ...], interval_ms: int) -> None:
        self.timers.set(timer, now_ms + interval_ms)

    def expire(self, now_ms: int) -> Iterator[StateKey | str]:
        """Yields what time has brought: a key that a snapshot is due of, or PRUNE."""
        for timer in self.timers.due(now_ms):
            if timer == _COLD:
                self._set(now_ms, timer, self.limits.cold_interval_ms)
                yield from list(self._cold(now_ms))
            else:
                self._set(now_ms, timer, self.limits.prune_interval_ms)
                yield PRUNE

    def _cold(self, now_ms: int) -> Iterable[StateKey]:
        """Yields the keys that nobody has written for a while, so that their old records keep others from going: if
        there are more of these than keys that would be written."""
        for key, state in self.states.items():
            behind = self.end - state.snapshot_offset
            if behind > _RECORDS * len(self.states) and now_ms - state.written_ms >= self.limits.cold_interval_ms:
                yield key

    @property
    def needed_from(self) -> int:
        """Offset of the first record that is needed, or the end if none is."""
        return min((state.snapshot_offset for state in self.states.values()), default=self.end)
