"""What is said of messages on its way to the server: joined into frames, followed until it is durable."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from logserverpb.v1 import queues_pb2

from logserver_client._queue.message import BaseMessage, Said, Verdict
from logserver_client._transport.status import error_from_message
from logserver_client.errors import MessageLost, client_closed, message_lost

if TYPE_CHECKING:
    from logserver_client._queue.delivery import Delivery

_log = logging.getLogger("logserver_client")

_MOST_SETTLEMENTS: Final = 1_000
"""In one frame: some 30 KiB."""

OnLost = Callable[[MessageLost], object]
"""Called with what could not be settled, on the client's own thread or in its event loop."""


class Piece(NamedTuple):
    """Offsets of a delivery, both ends inclusive, of which the same is said; None: they are done."""

    delivery: "Delivery"
    first: int
    last: int
    verdict: Verdict | None


class Marker:
    """Somebody who wants to know when everything before is durable or lost."""

    __slots__ = ("done",)

    def __init__(self, done: "asyncio.Future[None]") -> None:
        self.done = done


class Frame:
    """What is sent together and not confirmed yet."""

    __slots__ = ("markers", "number", "pieces")

    def __init__(self, number: int, pieces: list[Piece]) -> None:
        self.number = number
        self.pieces = pieces
        self.markers: list[Marker] = []

    def settlements(self) -> list[queues_pb2.Settlement]:
        return [_settlement(*piece) for piece in self.pieces]


class Outbox:
    """Collects what users say of messages, on any thread; all else is for the event loop.

    Args:
        announce: called on the user's thread when there is something where nothing was.
        on_lost: called with what could not be settled; without it that is counted, logged, and raised by `flushed`.
    """

    def __init__(self, announce: Callable[[], None], on_lost: OnLost | None) -> None:
        self._announce = announce
        self._on_lost = on_lost
        self._items: list[BaseMessage | Said | Marker] = []
        self._is_announced = False
        self._waiting: deque[Piece | Marker] = deque()
        self._frames: dict[int, Frame] = {}
        self._numbers = 0
        self._markers = 0
        self.lost = 0
        """Messages whose settlement was not good, so far."""
        self._lost_since: list[MessageLost] = []
        """The first error since somebody was told, if any."""

    # The user's thread.

    def put(self, item: BaseMessage | Said | Marker) -> None:
        """Takes in a message that is done, or something else that is said."""
        self._items.append(item)
        # Whoever takes the items sets this back before it looks at them.
        if not self._is_announced:
            self._is_announced = True
            self._announce()

    # The event loop.

    @property
    def is_busy(self) -> bool:
        """Whether something is not confirmed yet."""
        return bool(self._items or self._waiting or self._frames)

    @property
    def has_markers(self) -> bool:
        """Whether somebody waits for confirmations."""
        return self._markers > 0

    async def flushed(self) -> None:
        """Returns when everything that was said up to now is durable or lost.

        Raises:
            MessageLost: something was lost since this was called last, and there is no `on_lost`.
        """
        marker = Marker(asyncio.get_running_loop().create_future())
        self._markers += 1
        try:
            self.put(marker)
            await marker.done
        finally:
            self._markers -= 1
        lost, self._lost_since = self._lost_since, []
        if lost:
            raise lost[0].with_traceback(None)

    async def settled(self, message: BaseMessage) -> None:
        """Returns when what was said of a message is durable.

        Raises:
            MessageLost: it was not good.
        """
        marker = Marker(asyncio.get_running_loop().create_future())
        self._markers += 1
        try:
            self.put(marker)
            await marker.done
        finally:
            self._markers -= 1
        error = message[0].refusal(message[2])
        if error is not None:
            if error in self._lost_since:
                self._lost_since.remove(error)
            raise error.with_traceback(None)

    def next_frame(self) -> Frame | None:
        """Returns what to send next, None if there is nothing; it counts as sent."""
        self._gather()
        waiting = self._waiting
        frame: Frame | None = None
        while waiting:
            if isinstance(waiting[0], Marker):
                # Everything before it is in this frame or in those before.
                last = frame or next(reversed(self._frames.values()), None)
                marker = waiting.popleft()
                assert isinstance(marker, Marker)
                if last is None:
                    _resolve(marker)
                else:
                    last.markers.append(marker)
                continue
            if frame is not None and (
                len(frame.pieces) >= _MOST_SETTLEMENTS
                or waiting[0].delivery.session.incarnation != frame.pieces[0].delivery.session.incarnation
            ):
                break
            piece = waiting.popleft()
            assert isinstance(piece, Piece)
            if frame is None:
                self._numbers += 1
                frame = self._frames[self._numbers] = Frame(self._numbers, [])
            frame.pieces.append(piece)
        return frame

    def confirm(self, number: int, refused: Iterable[queues_pb2.RefusedSettlement] = ()) -> None:
        """Everything up to a frame is durable, but for what was refused."""
        for refusal in refused:
            frame = self._frames.get(refusal.id)
            if frame is not None and 0 <= refusal.index < len(frame.pieces):
                piece = frame.pieces[refusal.index]
                self._lose(piece, error_from_message(refusal.error).message)
        while self._frames:
            first = next(iter(self._frames.values()))
            if first.number > number:
                break
            del self._frames[first.number]
            for marker in first.markers:
                _resolve(marker)

    def break_off(self, reason: str) -> None:
        """What is not confirmed is lost; to be called when its sessions have been marked as lost."""
        frames, self._frames = list(self._frames.values()), {}
        for frame in frames:
            self._lose_frame(frame, reason)
        while (unsent := self.next_frame()) is not None:
            del self._frames[unsent.number]
            self._lose_frame(unsent, reason)

    def fail(self, frame: Frame, reason: str) -> None:
        """A frame is lost, and those around it are not."""
        del self._frames[frame.number]
        self._lose_frame(frame, reason)

    def close(self) -> None:
        """Takes nothing any more; what is not confirmed is lost."""
        self._announce = _raise_closed
        self.break_off("the queue was closed before it was known to be durable")
        self._is_announced = False

    def _lose_frame(self, frame: Frame, reason: str) -> None:
        for piece in frame.pieces:
            self._lose(piece, reason)
        for marker in frame.markers:
            _resolve(marker)

    def _gather(self) -> None:
        self._is_announced = False
        items = self._items
        taken = items[:]
        # What comes in between stays: threads only ever append.
        del items[: len(taken)]
        acked: dict[Delivery, list[int]] = {}
        for item in taken:
            if isinstance(item, BaseMessage):
                offsets = acked.get(item[0])
                if offsets is None:
                    acked[item[0]] = [item[2]]
                else:
                    offsets.append(item[2])
                continue
            if acked:
                self._add_acked(acked)
                acked = {}
            if isinstance(item, Marker):
                self._waiting.append(item)
            elif item.verdict.outcome != queues_pb2.OUTCOME_EXTEND or not item.message.is_settled:
                # Somebody may extend on one thread what is settled on another: then there is nothing to extend.
                offset = item.message[2]
                self._add(Piece(item.message[0], offset, offset, item.verdict))
        if acked:
            self._add_acked(acked)

    def _add_acked(self, acked: "dict[Delivery, list[int]]") -> None:
        """Adds messages that are done, as ranges."""
        for delivery, offsets in acked.items():
            offsets.sort()
            first = offsets[0]
            if offsets[-1] - first == len(offsets) - 1:
                self._add(Piece(delivery, first, offsets[-1], None))
                continue
            last = first
            for offset in offsets[1:]:
                if offset != last + 1:
                    self._add(Piece(delivery, first, last, None))
                    first = offset
                last = offset
            self._add(Piece(delivery, first, last, None))

    def _add(self, piece: Piece) -> None:
        if piece.delivery.session.is_lost:
            self._lose(piece, "the connection by which it came is gone")
            return
        before = self._waiting[-1] if self._waiting else None
        if (
            isinstance(before, Piece)
            and before.delivery is piece.delivery
            and before.last == piece.first - 1
            and before.verdict == piece.verdict
        ):
            self._waiting[-1] = Piece(piece.delivery, before.first, piece.last, piece.verdict)
        else:
            self._waiting.append(piece)

    def _lose(self, piece: Piece, reason: str) -> None:
        delivery, first, last, _ = piece
        error = message_lost(delivery.partition, first, last, reason)
        delivery.refusals.append((first, last, error))
        self.lost += last - first + 1
        if self._on_lost is None:
            if not self._lost_since:
                self._lost_since.append(error)
                # Once until somebody flushes: a connection that breaks can take thousands.
                level = logging.DEBUG if self.has_markers else logging.WARNING
                _log.log(level, "what was said of messages is lost, from these on: %s", error.message)
            return
        try:
            self._on_lost(error)
        except Exception:
            _log.exception("on_lost has failed")


def _settlement(delivery: "Delivery", first: int, last: int, verdict: Verdict | None) -> queues_pb2.Settlement:
    if verdict is None:
        return queues_pb2.Settlement(partition=delivery.partition, first=first, last=last, number=delivery.number)
    return queues_pb2.Settlement(
        partition=delivery.partition, first=first, last=last, number=delivery.number, **verdict._asdict()
    )


def _resolve(marker: Marker) -> None:
    if not marker.done.done():
        marker.done.set_result(None)


def _raise_closed() -> NoReturn:
    raise client_closed("the queue is closed; messages that were not settled will be delivered again")
