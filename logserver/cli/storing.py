"""Records on their way from one topic into another."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from logserver.cli.failures import ERRORS_OF_ONE_RECORD, sentence
from logserver.cli.stopping import StopSignals

if TYPE_CHECKING:
    from logserver_client import BytesRecord, LogServerError, Producer, RecordMetadata

_MOST_UNDER_WAY_BYTES: Final = 16 * 1024 * 1024
_RECORD_BYTES: Final = 100
"""What a record costs beside its key and value."""


class Storing:
    """Sends records and counts what becomes of them, exactly: each is stored, failed or still under way.

    Answers come on the client's thread, which alone changes `stored` and `bytes`.
    """

    def __init__(self, producer: Producer[bytes, bytes], topic: str) -> None:
        self.sent = 0
        self.stored = 0
        self.bytes = 0
        """Of keys and values stored."""
        self.failed = 0
        self.first_error: str | None = None
        self.is_hopeless = False
        """True after an error that the next record would meet as well."""
        self._producer = producer
        self._topic = topic
        self._sent_bytes = 0
        self._answered_bytes = 0
        self._answered = threading.Event()
        self._is_full = False
        self._failing = threading.Lock()

    @property
    def under_way(self) -> int:
        return self.sent - self.stored - self.failed

    def send(self, record: BytesRecord) -> None:
        """Sends a record with its key, value, headers and timestamp; the key chooses the partition."""
        from logserver_client import LogServerError

        payload_bytes = len(record.key or b"") + len(record.value or b"")
        self.sent += 1
        try:
            self._producer.send(
                self._topic,
                record.value,
                key=record.key,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
                on_delivery=partial(self._delivered, record.partition, record.offset, payload_bytes),
            )
        except LogServerError as error:
            self._fail(record.partition, record.offset, error.name, error.message)
        except ValueError as error:
            # Other clients may have stored what ours doesn't: a timestamp below -1, a header's name that is no UTF-8.
            self._fail(record.partition, record.offset, "INVALID_RECORD", str(error))
        else:
            self._sent_bytes += payload_bytes + _RECORD_BYTES

    def wait_for_room(self, stop: StopSignals) -> None:
        """Waits while too much is under way: here, where a signal can end it, and not in `send`.

        Raises:
            KeyboardInterrupt: a signal has come.
        """
        while self._is_over():
            self._is_full = True
            self._answered.clear()
            if self._is_over():
                stop.waiting(self._answered.wait)
        self._is_full = False

    def _is_over(self) -> bool:
        return self._sent_bytes - self._answered_bytes > _MOST_UNDER_WAY_BYTES

    def _delivered(
        self,
        partition: int,
        offset: int,
        payload_bytes: int,
        _metadata: RecordMetadata | None,
        error: LogServerError | None,
    ) -> None:
        if error is None:
            self.stored += 1
            self.bytes += payload_bytes
        else:
            self._fail(partition, offset, error.name, error.message)
        self._answered_bytes += payload_bytes + _RECORD_BYTES
        if self._is_full:
            self._answered.set()

    def _fail(self, partition: int, offset: int, name: str, message: str) -> None:
        # Both threads come here.
        with self._failing:
            self.failed += 1
            if self.first_error is None:
                self.first_error = f"partition {partition}, offset {offset}: {sentence(message or name)}"
        if name not in ERRORS_OF_ONE_RECORD:
            self.is_hopeless = True
