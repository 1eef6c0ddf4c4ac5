"""Simulated members of a group: what a client believes, does and sends, whatever is lost on the way.

Source: KIP-848, "Client-Side Reconciliation"; `groups.proto` for the door with streams.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Literal, NamedTuple

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.requests import Heartbeat, HeartbeatAnswer, Subscription
from logserver.errors import ErrorCode, LogServerError

from .support import Coordinator

Fate = Literal["answered", "request lost", "answer lost"]

ENDED = (ErrorCode.fenced_member_epoch, ErrorCode.unknown_member_id, ErrorCode.fenced_instance_id)
"""What a client hears that is no member any more."""
REFUSED = (ErrorCode.group_max_size_reached, ErrorCode.unreleased_instance_id)
"""What a client hears that can't be one yet."""


class Client:
    """What both doors' clients have."""

    door: ClassVar[str]

    def __init__(
        self,
        coordinator: Coordinator,
        group_id: str,
        member_id: str,
        subscription: Subscription,
        rebalance_timeout_ms: int,
        instance_id: str | None,
        assignor: str | None,
    ) -> None:
        self.coordinator = coordinator
        self.group_id = group_id
        self.member_id = member_id
        self.instance_id = instance_id
        self.subscription = subscription
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.assignor = assignor
        self.epoch = 0
        self.owned: Assignment = frozenset()
        """What it works on: from when it hears that it may until it says that it has ended."""
        self.target: Assignment = frozenset()
        """What it was told last that it may own."""
        self.is_slow = False
        """Whether it goes on with partitions that it has been asked to give up."""
        self.is_declared_dead = False
        """Whether the coordinator has given it up, and it does not know."""
        self.heard_ms: int | None = None
        """When the coordinator has heard of it last."""

    def __repr__(self) -> str:
        return f"<{self.door} {self.group_id}/{self.member_id} epoch {self.epoch} owns {sorted(self.owned)}>"

    def _full(self) -> Heartbeat:
        return Heartbeat(
            self.group_id,
            self.member_id,
            self.epoch,
            self.instance_id,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            subscription=self.subscription,
            assignor=self.assignor,
            owned=self.owned,
        )

    def _send(self, request: Heartbeat) -> HeartbeatAnswer:
        decision = self.coordinator.shard.heartbeat(request, self.coordinator.now)
        # Who is heard of while nothing can be written is alive all the same.
        self.heard_ms = self.coordinator.now
        return self.coordinator.decide(decision)

    def _told(self, answer: HeartbeatAnswer) -> None:
        assert answer.member_id == self.member_id
        if answer.assigned is not None:
            self.target = frozenset(answer.assigned)
        self.epoch = answer.member_epoch
        if not self.is_slow or self.owned <= self.target:
            self.revoke()

    def revoke(self) -> None:
        """Gives up what it has been asked to, and takes what it was given."""
        self.owned = self.target

    def ended(self) -> None:
        """It has heard that it is no member."""
        self.epoch = 0
        self.owned = self.target = frozenset()
        self.is_declared_dead = False

    def leave(self, epoch: int, fate: Fate) -> None:
        """Leaves; whatever comes of it, this client works on nothing any more."""
        self.owned = self.target = frozenset()
        if fate != "request lost":
            try:
                self.coordinator.decide(
                    self.coordinator.shard.heartbeat(
                        Heartbeat(self.group_id, self.member_id, epoch, self.instance_id), self.coordinator.now
                    )
                )
            except LogServerError as error:
                assert error.code in (*ENDED, ErrorCode.coordinator_not_available), error
        assert epoch in (LEAVING, AWAY)

    def beat(self, fate: Fate = "answered") -> bool:
        """Sends a heartbeat; returns whether it may try to be a member on."""
        raise NotImplementedError

    def resubscribe(self, subscription: Subscription) -> None:
        """Wants to read something else from its next heartbeat on."""
        self.subscription = subscription


class LockstepClient(Client):
    """A client of Kafka's protocol: one request at a time, everything again after an error."""

    door = "lockstep"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._says_all = True
        self._said_owned: Assignment | None = None
        self._said_subscription: Subscription | None = None

    def beat(self, fate: Fate = "answered") -> bool:
        if self.epoch == 0 or self._says_all:
            request = self._full()
        else:
            request = Heartbeat(
                self.group_id,
                self.member_id,
                self.epoch,
                self.instance_id,
                subscription=self.subscription if self.subscription != self._said_subscription else None,
                owned=self.owned if self.owned != self._said_owned else None,
            )
        self._says_all = True
        if fate == "request lost":
            return True
        try:
            answer = self._send(request)
        except LogServerError as error:
            if fate == "answered" and error.code in ENDED:
                self.ended()
            assert error.code in (*ENDED, *REFUSED, ErrorCode.coordinator_not_available), (self, request, error)
            return error.code not in REFUSED
        if fate == "answered":
            self._says_all = False
            self._said_subscription = self.subscription
            self._said_owned = request.owned if request.owned is not None else self._said_owned
            self._told(answer)
        return True

    def ended(self) -> None:
        super().ended()
        self._says_all = True


class Told(NamedTuple):
    """An assignment on its way to a client."""

    sequence: int
    answer: HeartbeatAnswer


class Said(NamedTuple):
    """A heartbeat on its way to the server."""

    carried_out: int
    owned: Assignment
    subscription: Subscription | None


class StreamClient(Client):
    """A client of the door with streams: both sides send when they like, in order, until the stream breaks."""

    door = "stream"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._is_open = False
        # The server's end.
        self._server_epoch = 0
        self._sequence = 0
        self._server_assigned: Assignment = frozenset()
        # On their way.
        self._down: deque[Told | None] = deque()
        self._up: deque[Said] = deque()
        # The client's end.
        self._received = 0
        self._carried_out = 0
        self._says_subscription = False

    def revoke(self) -> None:
        super().revoke()
        self._carried_out = self._received

    def ended(self) -> None:
        super().ended()
        self.break_stream()

    def break_stream(self) -> None:
        """Loses what is on its way in both directions."""
        self._is_open = False
        self._down.clear()
        self._up.clear()

    def _tell(self, answer: HeartbeatAnswer) -> None:
        self._sequence += 1
        self._server_epoch = answer.member_epoch
        if answer.assigned is not None:
            self._server_assigned = frozenset(answer.assigned)
        everything = dict.fromkeys(self._server_assigned, 0)
        self._down.append(Told(self._sequence, answer._replace(assigned=everything)))

    def open(self) -> bool:
        """Opens a stream in place of the one before; returns whether it may try on."""
        self.break_stream()
        self._sequence = self._received = self._carried_out = 0
        try:
            answer = self._send(self._full())
        except LogServerError as error:
            if error.code in ENDED:
                self.ended()
            assert error.code in (*ENDED, *REFUSED, ErrorCode.coordinator_not_available), (self, error)
            return error.code not in REFUSED
        self._is_open = True
        self._says_subscription = False
        self._tell(answer)
        self.coordinator.woken.add((self.group_id, self.member_id))
        return True

    def resubscribe(self, subscription: Subscription) -> None:
        super().resubscribe(subscription)
        self._says_subscription = True

    def send(self) -> None:
        """Sends a heartbeat, which the server reads later."""
        if self._is_open:
            subscription = self.subscription if self._says_subscription else None
            self._says_subscription = False
            owned = self.owned if self._carried_out else frozenset()
            self._up.append(Said(self._carried_out, owned, subscription))
            self._carried_out = 0

    def server_reads(self) -> None:
        """The server takes in the next heartbeat."""
        if not self._up:
            return
        said = self._up.popleft()
        counts = said.carried_out != 0 and said.carried_out == self._sequence
        request = Heartbeat(
            self.group_id,
            self.member_id,
            self._server_epoch,
            self.instance_id,
            subscription=said.subscription,
            owned=said.owned if counts else None,
        )
        try:
            answer = self._send(request)
        except LogServerError as error:
            assert error.code in (*ENDED, ErrorCode.coordinator_not_available), (self, request, error)
            self._server_ends(error)
            return
        if answer.assigned is not None or answer.member_epoch != self._server_epoch:
            self._tell(answer)

    def server_looks(self) -> None:
        """The server looks whether there is something to tell, if it was told that there might be."""
        key = (self.group_id, self.member_id)
        if not self._is_open or key not in self.coordinator.woken:
            return
        try:
            answer = self.coordinator.decide(self.coordinator.shard.look_again(*key))
        except LogServerError as error:
            self._server_ends(error)
            return
        finally:
            self.coordinator.woken.discard(key)
        if answer is not None:
            self._tell(answer)

    def _server_ends(self, error: LogServerError) -> None:
        self._is_open = False
        self._up.clear()
        self._down.append(None if error.code in ENDED else Told(0, HeartbeatAnswer("", 0, None)))

    def receive(self) -> None:
        """The client takes in what the server has sent next."""
        if not self._down:
            return
        told = self._down.popleft()
        if told is None:
            self.ended()
        elif not told.sequence:
            # The stream has ended with an error after which another one may be opened.
            self.break_stream()
        else:
            self._received = told.sequence
            self._told(told.answer)

    def beat(self, fate: Fate = "answered") -> bool:
        """Sends a heartbeat and has everything on its way arrive, as far as nothing is lost."""
        if not self._is_open:
            if fate == "request lost":
                return True
            stays = self.open()
        else:
            stays = True
            self.send()
            while self._up and fate != "request lost":
                self.server_reads()
        if fate == "answered":
            self.server_looks()
            while self._down:
                self.receive()
            if self._carried_out:
                self.send()
                while self._up:
                    self.server_reads()
                while self._down:
                    self.receive()
        else:
            self.break_stream()
        return stays
