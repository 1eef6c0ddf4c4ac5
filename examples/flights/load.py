"""Sends flights to a topic, and keeps what the server acknowledged."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from logserver_client import Producer, RecordFuture

from .flights import Flight
from .readback import ROW_HEADER, Place

FLUSH_TIMEOUT_S: Final = 300
REPORTS: Final = 5


class Load:
    """One pass of all flights into a topic, in their order."""

    def __init__(self, flights: Sequence[Flight], say: Callable[[str], None]) -> None:
        self.sent = 0
        self.acknowledged: dict[int, Place] = {}
        """By row: where the server said it stored the record."""

        self.errors: list[BaseException] = []
        """Of the records that could not be stored."""

        self._flights = flights
        self._say = say
        self._reports = {len(flights) * part // REPORTS for part in range(1, REPORTS + 1)}
        self._progress = threading.Condition()
        self._ended = False

    def run(self, address: str, topic: str) -> None:
        """Sends everything, and returns when each record is acknowledged or has failed."""
        try:
            with Producer(address) as producer:
                for flight in self._flights:
                    headers = [(ROW_HEADER, b"%d" % flight.row)]
                    future = producer.send(
                        topic, flight.value, key=flight.carrier, headers=headers, timestamp_ms=flight.timestamp_ms
                    )
                    self.sent += 1
                    future.add_done_callback(self._taker(flight.row))
                producer.flush(FLUSH_TIMEOUT_S)
        finally:
            with self._progress:
                self._ended = True
                self._progress.notify_all()

    def wait(self, count: int) -> int:
        """Waits until `count` records are acknowledged, or the load has ended; returns how many are."""
        with self._progress:
            self._progress.wait_for(lambda: self._ended or len(self.acknowledged) >= count)
            return len(self.acknowledged)

    def _taker(self, row: int) -> Callable[[RecordFuture], None]:
        def take(future: RecordFuture) -> None:
            error = future.exception()
            with self._progress:
                if error is not None:
                    self.errors.append(error)
                    return
                metadata = future.result()
                self.acknowledged[row] = Place(metadata.partition, metadata.offset)
                self._progress.notify_all()
                count = len(self.acknowledged)
            if count in self._reports:
                self._say(f"{count:,} of {len(self._flights):,} acknowledged")

        return take
