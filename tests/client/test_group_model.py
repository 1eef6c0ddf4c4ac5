"""A member and its coordinator, over a stream that breaks, with a user who comes and goes.

However it goes: a partition that the coordinator regards as free is not held by the member, nothing is acknowledged
that was not carried out, and once things settle both agree.
"""

from collections import deque

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from logserver_client import LogServerError, Subscription, TopicPartition
from logserver_client._group.member import NEW, Ended, Identity, Member, Phase
from logserver_client.errors import connection_failed, error_for
from logserverpb.v1 import groups_pb2

ALL = [TopicPartition(topic, partition) for topic in ("a", "b") for partition in range(2)]
IDENTITY = Identity(
    group_id="g",
    member_id="m",
    instance_id=None,
    rack_id=None,
    client_id="c",
    assignor=None,
    rebalance_timeout_ms=1000,
)
ANSWER_TIMEOUT_S = 5.0
RARELY = st.sampled_from([False, False, False, True])
HEARTBEAT_S = 1.0


def partitions_of(topics: list[groups_pb2.TopicPartitions]) -> set[TopicPartition]:
    return {TopicPartition(part.topic, partition) for part in topics for partition in part.partitions}


class Coordinator:
    """The rules of KIP-848 for one member: what it may own grows at once and shrinks when the member says so."""

    def __init__(self) -> None:
        self.epoch = self.first_epoch = NEW
        self.is_known = False
        self.assigned: set[TopicPartition] = set()
        self.believed: set[TopicPartition] = set()
        """What the member may own as far as the coordinator knows; nobody else gets it."""
        self.sequence = 0
        self.is_joined = False
        self.has_changed = False
        self.subscription: tuple[str, ...] = ()

    def assignment(self) -> groups_pb2.MembershipResponse:
        self.sequence += 1
        self.epoch += 1
        self.believed |= self.assigned
        topics = sorted({tp.topic for tp in self.assigned})
        return groups_pb2.MembershipResponse(
            assignment=groups_pb2.Assignment(
                sequence=self.sequence,
                member_id="m",
                member_epoch=self.epoch,
                heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
                session_timeout_ms=10_000,
                partitions=[
                    groups_pb2.TopicPartitions(
                        topic=topic,
                        topic_id=f"id of {topic}",
                        partitions=[tp.partition for tp in sorted(self.assigned) if tp.topic == topic],
                    )
                    for topic in topics
                ],
            )
        )

    def process(self, request: groups_pb2.MembershipRequest) -> list[groups_pb2.MembershipResponse] | LogServerError:
        match request.WhichOneof("command"):
            case "join":
                return self._join(request.join)
            case "heartbeat":
                return self._heartbeat(request.heartbeat)
            case "leave":
                self.forget()
                return [groups_pb2.MembershipResponse(left=groups_pb2.Left())]
        raise AssertionError(request)

    def forget(self) -> None:
        # Epochs of the next life are larger: a late message of this one is told from its own.
        self.is_known = self.is_joined = False
        self.assigned = set()
        self.believed = set()

    def _join(self, join: groups_pb2.Join) -> list[groups_pb2.MembershipResponse] | LogServerError:
        owned = partitions_of(list(join.owned))
        if join.member_epoch == NEW:
            assert not owned, "who joins owns nothing"
            self.believed = set()
            self.assigned = set()
            self.epoch += 10
            self.first_epoch = self.epoch
        elif join.member_epoch < self.first_epoch or not self.is_known:
            return error_for(25, "UNKNOWN_MEMBER_ID", "no such member", False)
        elif join.member_epoch > self.epoch:
            raise AssertionError("an epoch that never was")
        else:
            assert owned <= self.believed, "what was given up comes back by an assignment only"
            self.believed = owned | self.assigned
        self.subscription = tuple(join.subscription.topics)
        self.sequence = 0
        self.is_known = self.is_joined = True
        return [self.assignment()]

    def _heartbeat(self, heartbeat: groups_pb2.Heartbeat) -> list[groups_pb2.MembershipResponse] | LogServerError:
        if not self.is_known:
            return error_for(25, "UNKNOWN_MEMBER_ID", "no such member", False)
        if heartbeat.HasField("subscription"):
            self.subscription = tuple(heartbeat.subscription.topics)
        if heartbeat.carried_out:
            assert heartbeat.carried_out <= self.sequence
            owned = partitions_of(list(heartbeat.owned))
            assert owned <= self.believed
            if heartbeat.carried_out == self.sequence:
                assert owned <= self.assigned, "carried out means that nothing is held beyond it"
                self.believed = owned | self.assigned
        else:
            assert not heartbeat.owned
        return [groups_pb2.MembershipResponse(alive=groups_pb2.Alive())]


class GroupModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.member = Member(IDENTITY, ANSWER_TIMEOUT_S)
        self.coordinator = Coordinator()
        self.to_server: deque[groups_pb2.MembershipRequest] = deque()
        self.to_client: deque[groups_pb2.MembershipResponse | LogServerError] = deque()
        self.is_open = False
        self.told_lost: list[TopicPartition] = []

    @initialize()
    def begin(self) -> None:
        self.member.subscribe(Subscription(("a",)))

    # The stream.

    @precondition(lambda self: self.member.wants_stream and not self.is_open)
    @rule()
    def open(self) -> None:
        self.member.opened()
        self.is_open = True

    @precondition(lambda self: self.is_open)
    @rule()
    def send(self) -> None:
        request = self.member.next_request(self.now_s)
        if request is not None:
            self.to_server.append(request)

    @precondition(lambda self: self.to_server)
    @rule()
    def process(self) -> None:
        answer = self.coordinator.process(self.to_server.popleft())
        if isinstance(answer, LogServerError):
            self.to_client.append(answer)
        else:
            self.to_client.extend(answer)

    @precondition(lambda self: self.to_client)
    @rule()
    def receive(self) -> None:
        response = self.to_client.popleft()
        if isinstance(response, LogServerError):
            self.end(response)
            return
        match response.WhichOneof("event"):
            case "assignment":
                self.member.received(response.assignment, self.now_s)
            case "alive":
                self.member.alive()
            case "left":
                self.end(connection_failed("the server ended the stream"))

    @precondition(lambda self: self.is_open)
    @rule(really=RARELY)
    def break_stream(self, really: bool) -> None:
        if not really:
            return
        self.end(connection_failed("broken"))

    def end(self, error: LogServerError) -> None:
        self.to_server.clear()
        self.to_client.clear()
        self.is_open = False
        self.coordinator.is_joined = False
        ended, _ = self.member.ended(error)
        assert (ended is Ended.LOST) == (self.member.phase is Phase.LOST) or ended is Ended.LEFT

    @rule()
    def round_trip(self) -> None:
        """All is well for a moment."""
        if not self.is_open and self.member.wants_stream:
            self.open()
        for _ in range(3):
            self.send()
        while self.to_server:
            self.process()
        while self.to_client:
            self.receive()

    # The coordinator.

    @precondition(lambda self: self.coordinator.is_joined)
    @rule(assigned=st.sets(st.sampled_from(ALL)))
    def assign(self, assigned: set[TopicPartition]) -> None:
        # What is on its way out comes back only when it is out, as in KIP-848.
        coordinator = self.coordinator
        coordinator.assigned = assigned - (coordinator.believed - coordinator.assigned)
        self.to_client.append(coordinator.assignment())

    @rule()
    def assign_again_what_was_revoked(self) -> None:
        if self.coordinator.is_joined:
            self.coordinator.assigned |= self.coordinator.believed
            self.to_client.append(self.coordinator.assignment())

    @rule()
    def session_ends(self) -> None:
        if not self.coordinator.is_joined:
            self.coordinator.forget()

    @precondition(lambda self: self.coordinator.is_joined)
    @rule(really=RARELY)
    def fence(self, really: bool) -> None:
        if not really:
            return
        self.coordinator.forget()
        self.to_client.append(error_for(110, "FENCED_MEMBER_EPOCH", "fenced", False))

    # The user.

    @rule()
    def visit(self) -> None:
        if self.member.phase is Phase.LOST:
            self.told_lost += self.member.told()
        turn = self.member.ownership.turn()
        assert not set(turn.revoked) & self.member.ownership.target

    @rule()
    def catch_up(self) -> None:
        """The user is back, and all that there is to do is done."""
        self.visit()
        if self.member.ownership.leaving:
            self.member.give_up(list(self.member.ownership.leaving))
        if self.member.phase is Phase.MEMBER:
            self.member.take(list(self.member.ownership.wanted))

    @precondition(lambda self: self.member.ownership.leaving)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        leaving = sorted(self.member.ownership.leaving)
        self.member.give_up(data.draw(st.sets(st.sampled_from(leaving), min_size=1)))

    @precondition(lambda self: self.member.phase is Phase.MEMBER and self.member.ownership.wanted)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        wanted = sorted(self.member.ownership.wanted)
        self.member.take(data.draw(st.sets(st.sampled_from(wanted), min_size=1)))

    @rule(topics=st.sampled_from([("a",), ("b",), ("a", "b")]))
    def subscribe(self, topics: tuple[str, ...]) -> None:
        self.member.subscribe(Subscription(topics))

    @precondition(lambda self: self.member.wants_stream)
    @rule(really=RARELY)
    def stay_away(self, really: bool) -> None:
        if not really:
            return
        self.member.user_gone(LogServerError(-1, "AWAY", ""))

    @rule(really=RARELY)
    def leave_and_come_back(self, really: bool) -> None:
        if not really:
            return
        subscription = self.member.subscription
        if self.member.phase is Phase.LOST:
            self.visit()
        self.member.begin_leave()
        self.member.ownership.turn()
        self.member.give_up(self.member.ownership.leaving)
        self.member.leave(will_return=False)
        assert self.member.phase is Phase.IDLE and not self.member.ownership.held
        assert subscription is not None
        self.member.subscribe(subscription)

    @rule(seconds=st.sampled_from([0.1, HEARTBEAT_S, ANSWER_TIMEOUT_S]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        if self.is_open and self.member.is_overdue(self.now_s):
            self.break_stream(True)

    # What holds.

    @invariant()
    def the_machine_is_whole(self) -> None:
        self.member.ownership.check()

    @invariant()
    def nobody_else_gets_what_is_held(self) -> None:
        ownership = self.member.ownership
        # A member that was fenced, or forgotten, and hasn't heard of it may hold more.
        is_same_life = self.coordinator.is_known and self.member.epoch >= self.coordinator.first_epoch
        if self.member.phase is Phase.MEMBER and is_same_life:
            assert ownership.held <= self.coordinator.believed

    @invariant()
    def who_is_lost_stops(self) -> None:
        if self.member.phase is Phase.LOST:
            assert self.member.ownership.stopped == self.member.ownership.held
            assert self.member.epoch == NEW

    def teardown(self) -> None:
        """All is well from here on: both come to agree."""
        for _ in range(10):
            self.catch_up()
            self.round_trip()
        assert self.member.phase is Phase.MEMBER
        assert self.member.ownership.held == self.coordinator.assigned == self.coordinator.believed
        assert self.member.epoch == self.coordinator.epoch
        assert self.member.subscription is not None
        assert self.coordinator.subscription == self.member.subscription.topics
        request = self.member.next_request(self.now_s)
        assert request is None, "there is nothing to say before the next heartbeat"


GroupModel.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None, derandomize=True)
TestGroup = GroupModel.TestCase
