"""From what has come to the messages that a user gets: decoded in the user's thread, one arrival at a time."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from logserver_client._queue.delivery import Session, deliveries_of, messages_of
from logserver_client._queue.message import BaseMessage
from logserver_client._queue.stream import ConsumeStream

M = TypeVar("M", bound=BaseMessage)


class Reader(Generic[M]):
    """Takes messages out of a stream's inbox, for one user at a time.

    Args:
        hold: kept alive by the messages, see `Delivery`.
    """

    __slots__ = ("_hold", "_kind", "_rest", "_rows", "_session", "_stream")

    def __init__(self, stream: ConsumeStream, kind: type[M], hold: object) -> None:
        self._hold = hold
        self._stream = stream
        self._kind = kind
        self._session = Session()
        self._rows: Iterator[list[M]] = iter(())
        self._rest: Iterator[M] = iter(())

    def take(self) -> list[M] | None:
        """Returns messages that follow one another, None if none have come.

        Raises:
            LogServerError: nothing comes any more; the messages of an arrival are damaged.
        """
        while True:
            rest = list(self._rest)
            if not rest:
                rest = next(self._rows, rest)
            if rest:
                if self._session.is_lost:
                    # They will come again.
                    self._rows = iter(())
                    continue
                return rest
            if not self._open_next():
                return None

    def next(self) -> M | None:
        """Returns the next message, None if none has come; raises as `take`."""
        message = next(self._rest, None)
        if message is None or self._session.is_lost:
            messages = self.take()
            if messages is None:
                return None
            self._rest = iter(messages)
            message = next(self._rest)
        return message

    def rest(self) -> tuple[Session, Iterator[M]] | None:
        """Returns messages to iterate over as long as their session isn't lost, and to go on with next time."""
        messages = self.take()
        if messages is None:
            return None
        self._rest = iter(messages)
        return self._session, self._rest

    def give_back(self) -> None:
        """Releases what has come and was not handed out."""
        while (messages := self.take()) is not None:
            for message in messages:
                if not message.is_settled:
                    message.release()

    def _open_next(self) -> bool:
        stream = self._stream
        try:
            session, arrival = stream.inbox.popleft()
        except IndexError:
            if stream.error is not None:
                raise stream.error.with_traceback(None) from None
            return False
        stream.took(len(arrival.batches))
        if session.is_lost:
            # They will come again.
            return True
        deliveries = deliveries_of(arrival, stream.outbox, session, self._hold, stream.is_auto_ack)
        self._session = session
        self._rows = messages_of(arrival, deliveries, self._kind)
        return True
