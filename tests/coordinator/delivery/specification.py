"""What a queue is to do with its records, said record by record, with no ranges and no thought of speed."""

from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    FRESH = "nobody has had it"
    READY = "somebody had it, and somebody may have it"
    DELAYED = "it rests"
    HELD = "somebody has it"
    MOVING = "it is on its way elsewhere"
    SETTLED = "acknowledged"
    ARCHIVED = "taken out"


UNSETTLED = (Stage.READY, Stage.DELAYED, Stage.HELD, Stage.MOVING)


@dataclass
class Message:
    offset: int
    stage: Stage = Stage.FRESH
    owner: str = ""
    number: int = -1
    until_ms: int | None = None
    acquisitions: int = 0
    failures: int = 0
    place: tuple[int, int] = (0, 0)


class Specification:
    """One partition of a queue.

    Args:
        limit: acquisitions after which a message goes to the dead letters when it is given back; None without end.
        delay_ms: how long one rests that has failed.
        most: unsettled messages at a time.
    """

    def __init__(self, limit: int | None, delay_ms: int, most: int, has_dead_letters: bool) -> None:
        self.limit = limit
        self.delay_ms = delay_ms
        self.most = most
        self.has_dead_letters = has_dead_letters
        self.messages: dict[int, Message] = {}
        self.end = 0
        self.released = 0

    def send(self, count: int, holes: set[int]) -> None:
        for _ in range(count):
            if self.end not in holes:
                self.messages[self.end] = Message(self.end, place=(self.end, 0))
            self.end += 1

    def of(self, *stages: Stage) -> list[Message]:
        return [message for message in self.messages.values() if message.stage in stages]

    def next(self) -> Message | None:
        """Returns whose turn it is."""
        candidates = self.of(Stage.READY)
        if len(self.of(*UNSETTLED)) < self.most:
            candidates += self.of(Stage.FRESH)
        return min(candidates, key=lambda message: message.place, default=None)

    def acquire(self, owner: str, count: int, until_ms: int | None, settle: bool) -> list[int]:
        """Returns the offsets, in the order in which they are given out."""
        got: list[int] = []
        while len(got) < count and (message := self.next()) is not None:
            message.acquisitions += 1
            message.stage, message.owner, message.until_ms = Stage.HELD, owner, until_ms
            if settle:
                message.stage = Stage.SETTLED
            got.append(message.offset)
        return got

    def is_cautious(self, given: list[int], without: list[int]) -> bool:
        """Whether what is given out is as much as it may be with caution, of what would be given out without."""
        if not without or self.limit is None or self.limit <= 2:
            return given == without
        tried = [self.messages[offset].acquisitions for offset in without]
        spent = max(2, (self.limit + 1) // 2)
        first_spent = next((at for at, count in enumerate(tried) if count >= spent), len(tried))
        if first_spent:
            # Up to the first that was tried often.
            return given == without[:first_spent]
        together = {(self.messages[offset].number, self.messages[offset].acquisitions) for offset in given}
        is_last = tried[0] >= self.limit - 1
        return given == without[: len(given)] and len(together) == 1 and (len(given) == 1 or not is_last)

    def is_held(self, first: int, last: int, number: int) -> bool:
        return all(
            offset in self.messages
            and self.messages[offset].stage is Stage.HELD
            and self.messages[offset].number == number
            for offset in range(first, last + 1)
        )

    def give_back(self, message: Message, failed: bool, due_ms: int | None, now_ms: int, position: str) -> None:
        message.failures += failed
        if self.limit is not None and message.acquisitions >= self.limit:
            self.take_out(message)
            return
        if due_ms is None:
            due_ms = now_ms + (self.delay_ms if failed else 0)
        self.released += 1
        message.place = {
            "original": (message.offset, 0),
            "front": (-1, -self.released),
            "tail": (self.end, self.released),
        }[position]
        if due_ms > now_ms:
            message.stage, message.until_ms = Stage.DELAYED, due_ms
            message.place = (message.offset, 0)
        else:
            message.stage, message.until_ms = Stage.READY, None

    def take_out(self, message: Message) -> None:
        message.stage = Stage.MOVING if self.has_dead_letters else Stage.ARCHIVED
        message.until_ms = None

    def expire(self, now_ms: int) -> None:
        for message in self.of(Stage.DELAYED):
            if message.until_ms is not None and message.until_ms <= now_ms:
                message.stage, message.until_ms = Stage.READY, None
        for message in self.of(Stage.HELD):
            if message.until_ms is not None and message.until_ms <= now_ms:
                self.give_back(message, True, now_ms, now_ms, "original")

    def crash(self, durable: dict[int, Message]) -> None:
        """Goes back to what was durable: whoever was there is gone, except for locks that only time ends."""
        self.messages = durable
        for message in self.of(Stage.HELD):
            if message.owner:
                message.stage, message.until_ms = Stage.READY, None
        for message in self.messages.values():
            message.place = (message.offset, 0)

    @property
    def start(self) -> int:
        return min((message.offset for message in self.of(Stage.FRESH, *UNSETTLED)), default=self.end)
