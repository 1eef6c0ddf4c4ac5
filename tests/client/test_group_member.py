"""What a member says and hears, and how partitions come and go, step by step."""

from typing import Any

import pytest
from logserver_client import LogServerError, Subscription, TopicPartition
from logserver_client._consume.config import consumer_config
from logserver_client._consume.partition import PartitionState
from logserver_client._consume.reader import Arrival, RecordReader
from logserver_client._group.attendance import Attendance
from logserver_client._group.hand import Hand
from logserver_client._group.member import Ended, Identity, Member, Phase
from logserver_client._group.ownership import Ownership
from logserver_client._positions import position_message
from logserver_client.errors import connection_failed, error_for
from logserver_records.codec import build_batch
from logserverpb.v1 import groups_pb2

A, B, C = (TopicPartition("t", partition) for partition in range(3))


def new_member(instance_id: str | None = None) -> Member:
    identity = Identity(
        group_id="g",
        member_id="m",
        instance_id=instance_id,
        rack_id="r",
        client_id="c",
        assignor="range",
        rebalance_timeout_ms=1000,
    )
    return Member(identity, 5.0)


def assignment(sequence: int, epoch: int, *partitions: TopicPartition) -> groups_pb2.Assignment:
    return groups_pb2.Assignment(
        sequence=sequence,
        member_id="m",
        member_epoch=epoch,
        heartbeat_interval_ms=2000,
        session_timeout_ms=10_000,
        partitions=[
            groups_pb2.TopicPartitions(topic="t", topic_id="id", partitions=[tp.partition for tp in partitions])
        ],
    )


def join(member: Member, *partitions: TopicPartition) -> None:
    member.subscribe(Subscription(("t",), "x.*"))
    member.opened()
    assert member.next_request(0.0) is not None
    member.received(assignment(1, 3, *partitions), 0.0)


def test_a_member_joins_takes_acknowledges_and_beats() -> None:
    member = new_member("i")
    member.subscribe(Subscription(("t",), "x.*"))
    assert member.wants_stream and member.next_request(0.0) is None
    member.opened()
    request = member.next_request(0.0)
    assert request is not None
    assert request.join == groups_pb2.Join(
        group_id="g",
        member_id="m",
        member_epoch=0,
        instance_id="i",
        rack_id="r",
        rebalance_timeout_ms=1000,
        subscription=groups_pb2.Subscription(topics=["t"], pattern="x.*"),
        assignor="range",
        client_id="c",
    )
    assert member.next_request(0.0) is None
    assert member.next_s() == 5.0 and not member.is_overdue(4.9) and member.is_overdue(5.0)
    assert member.received(assignment(1, 3, A, B), 1.0) == []
    assert (member.phase, member.epoch, member.ownership.wanted) == (Phase.MEMBER, 3, {A, B})
    # Nobody waits for what is to be taken.
    request = member.next_request(1.0)
    assert request is not None and request.heartbeat.carried_out == 1 and not request.heartbeat.owned
    member.alive()
    member.take([A, B])
    request = member.next_request(1.0)
    assert request is not None and request.heartbeat == groups_pb2.Heartbeat(
        carried_out=1, owned=[groups_pb2.TopicPartitions(topic="t", topic_id="id", partitions=[0, 1])]
    )
    member.alive()
    assert member.next_request(2.9) is None
    assert member.next_s() == 3.0
    request = member.next_request(3.0)
    assert request is not None and request.heartbeat == groups_pb2.Heartbeat()


def test_a_revocation_is_acknowledged_when_it_is_done() -> None:
    member = new_member()
    join(member, A, B)
    member.take([A, B])
    assert member.next_request(0.0) is not None
    assert member.received(assignment(2, 4, B), 0.1) == [A]
    assert member.next_request(0.1) is None
    assert member.ownership.turn().revoked == [A]
    member.give_up([A])
    request = member.next_request(0.1)
    assert request is not None and request.heartbeat.carried_out == 2
    assert [list(owned.partitions) for owned in request.heartbeat.owned] == [[1]]


def test_a_new_stream_joins_with_what_is_owned() -> None:
    member = new_member()
    join(member, A, B)
    member.take([A])
    assert member.ended(connection_failed("gone")) == (Ended.AGAIN, [])
    assert member.next_request(9.0) is None and member.next_s() is None
    member.opened()
    request = member.next_request(9.0)
    assert request is not None
    assert (request.join.member_epoch, [list(owned.partitions) for owned in request.join.owned]) == (3, [[0]])


@pytest.mark.parametrize(
    ("name", "retriable", "ended", "phase"),
    [
        ("FENCED_MEMBER_EPOCH", False, Ended.LOST, Phase.LOST),
        ("UNKNOWN_MEMBER_ID", False, Ended.LOST, Phase.LOST),
        ("FENCED_INSTANCE_ID", False, Ended.FAILED, Phase.FAILED),
        ("GROUP_MAX_SIZE_REACHED", False, Ended.FAILED, Phase.FAILED),
        ("UNRELEASED_INSTANCE_ID", False, Ended.AGAIN, Phase.MEMBER),
        ("NOT_COORDINATOR", True, Ended.AGAIN, Phase.MEMBER),
    ],
)
def test_what_the_end_of_a_stream_means(name: str, retriable: bool, ended: Ended, phase: Phase) -> None:
    member = new_member()
    join(member, A)
    member.take([A])
    meaning, stopped = member.ended(error_for(0, name, "", retriable))
    assert (meaning, member.phase) == (ended, phase)
    assert stopped == ([] if ended is Ended.AGAIN else [A])
    if ended is Ended.LOST:
        assert member.told() == [A]
        assert member.wants_stream and member.epoch == 0
    elif ended is Ended.FAILED:
        assert member.told() == [A]
        assert not member.wants_stream
        member.subscribe(Subscription(("u",)))
        assert member.wants_stream


@pytest.mark.parametrize("instance_id", [None, "i"])
def test_a_user_who_is_gone_leaves_the_group(instance_id: str | None) -> None:
    member = new_member(instance_id)
    join(member, A)
    member.take([A])
    assert member.user_gone(LogServerError(-1, "AWAY", "")) == [A]
    request = member.next_request(0.0)
    assert request is not None and request.leave.will_return == (instance_id is not None)
    assert member.has_left and member.next_request(0.0) is None
    assert member.received(assignment(2, 4, B), 0.0) == [], "sent before the server knew"
    # Back before the old stream has ended.
    assert member.told() == [A]
    assert member.next_request(0.0) is None
    assert member.ended(connection_failed("")) == (Ended.LEFT, [])
    assert member.wants_stream
    member.opened()
    request = member.next_request(0.0)
    assert request is not None and request.join.member_epoch == 0 and not request.join.owned


def test_leaving_gives_everything_up_whatever_is_assigned_meanwhile() -> None:
    member = new_member()
    join(member, A)
    member.take([A])
    assert member.next_request(0.0) is not None
    assert member.begin_leave() == [A]
    assert member.received(assignment(2, 4, A, B), 0.0) == []
    assert member.epoch == 4, "commits on the way out need it"
    assert not member.ownership.wanted
    assert member.ownership.turn().revoked == [A]
    member.give_up([A])
    assert member.next_request(0.0) is None
    member.leave(will_return=False)
    request = member.next_request(0.0)
    assert request is not None and request.WhichOneof("command") == "leave"
    assert member.phase is Phase.IDLE


def test_a_new_subscription_goes_with_a_heartbeat_at_once() -> None:
    member = new_member()
    join(member, A)
    assert member.next_request(0.0) is not None
    member.alive()
    member.subscribe(Subscription(("u",)))
    request = member.next_request(0.0)
    assert request is not None
    assert request.heartbeat == groups_pb2.Heartbeat(subscription=groups_pb2.Subscription(topics=["u"]))
    member.alive()
    member.subscribe(Subscription(("u",)))
    assert member.next_request(0.0) is None


def test_what_is_assigned_again_before_the_user_is_back_goes_on() -> None:
    ownership = Ownership()
    ownership.assign([A, B])
    ownership.take([A, B])
    assert ownership.assign([B]) == [A]
    assert ownership.assign([A, B]) == []
    assert ownership.is_turn_needed
    turn = ownership.turn()
    assert (turn.resumed, turn.revoked) == ([A], [])
    assert not ownership.is_turn_needed and not ownership.stopped


def test_what_is_assigned_again_in_the_middle_of_its_revocation_is_given_up_first() -> None:
    ownership = Ownership()
    ownership.assign([A])
    ownership.take([A])
    ownership.assign([])
    assert ownership.turn().revoked == [A]
    ownership.assign([A, C])
    assert ownership.wanted == {C}
    assert not ownership.is_turn_needed
    ownership.give_up([A])
    assert ownership.wanted == {A, C}
    with pytest.raises(AssertionError):
        ownership.give_up([C])


def test_a_topic_created_anew_is_given_up_before_it_is_taken() -> None:
    member = new_member()
    join(member, A, B)
    member.take([A, B])
    anew = assignment(2, 4, A)
    anew.partitions[0].topic_id = "another"
    assert member.received(anew, 0.0) == [A, B]
    turn = member.ownership.turn()
    assert (turn.resumed, turn.revoked, turn.outdated) == ([], [A, B], {A, B})
    assert not member.ownership.wanted
    member.give_up([A, B])
    assert member.ownership.wanted == {A}


def test_the_user_is_told_of_losses_but_not_twice() -> None:
    ownership = Ownership()
    ownership.assign([A, B])
    ownership.take([A, B])
    ownership.assign([B])
    ownership.turn()
    assert ownership.stop_all() == [B]
    assert ownership.lose() == [B], "of A the user has been told"


def test_a_user_is_asked_now_and_then_and_gone_after_the_longest_time() -> None:
    attendance = Attendance(10.0)
    attendance.came_back(0.0)
    assert attendance.next_s() == 0.5
    assert not attendance.is_to_ask(0.4)
    assert attendance.is_to_ask(0.5) and not attendance.is_to_ask(0.6)
    assert attendance.next_s() == 10.5
    assert not attendance.is_gone(10.4) and attendance.is_gone(10.5)
    attendance.came_back(10.6)
    assert not attendance.is_gone(20.0)
    assert attendance.is_to_ask(11.1)


class Handed:
    """A hand over a reader with two partitions of ten records each, in batches of five."""

    def __init__(self) -> None:
        config = consumer_config("host:1", None, None)
        self.reader = RecordReader(config, lambda node, size: None, lambda state: None, lambda: None)
        self.hand = Hand(self.reader)
        self.a, self.b = (PartitionState(tp, position_message(0)) for tp in (A, B))
        for base_offset in (0, 5):
            for state in (self.a, self.b):
                records: list[Any] = [(0, None, b"x", ())] * 5
                data = build_batch(records, base_offset=base_offset)
                self.reader.add(Arrival(state, 1, data, base_offset + 5))

    def consumed(self) -> tuple[int | None, int | None]:
        return self.hand.consumed(self.a), self.hand.consumed(self.b)


def test_lists_in_the_hand_are_not_consumed() -> None:
    world = Handed()
    assert world.consumed() == (0, 0)
    assert len(world.hand.take(7) or []) == 7
    assert world.consumed() == (0, 0)
    assert world.hand.holds(world.a) and world.hand.holds(world.b)
    world.hand.empty()
    assert world.consumed() == (5, 2)
    assert len(world.hand.take_piece() or []) == 3
    assert world.consumed() == (5, 2) and not world.hand.holds(world.a)
    world.hand.empty()
    assert world.consumed() == (5, 5)
    assert len(world.hand.take(100) or []) == 10
    world.hand.empty()
    assert world.consumed() == (10, 10)
    assert world.hand.take(1) is None and world.hand.take_piece() is None and world.hand.next_piece() is None


def test_the_record_an_iteration_is_at_is_not_consumed() -> None:
    world = Handed()
    piece = world.hand.next_piece()
    assert piece is not None and piece.state is world.a
    assert world.consumed() == (0, 0)
    for record in piece.rest:
        assert world.consumed() == (record.offset, 0)
        assert world.reader.position(world.a) == record.offset + 1
    assert world.consumed() == (4, 0)
    world.hand.empty()
    assert world.consumed() == (5, 0)


def test_where_the_rest_was_dropped_nothing_is_said_until_the_user_is_back() -> None:
    world = Handed()
    piece = world.hand.next_piece()
    assert piece is not None
    next(piece.rest)
    world.reader.drop(world.a)
    assert world.hand.consumed(world.a) is None
    world.hand.empty()
    assert world.hand.consumed(world.a) == 1
