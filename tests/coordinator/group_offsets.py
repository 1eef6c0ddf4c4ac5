"""The rules of topics and of offsets: what is committed, and what takes it away."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from logserver.coordinator.formats import OffsetCommitValue
from logserver.coordinator.requests import Commit, OffsetToCommit
from logserver.errors import ErrorCode, LogServerError

from .group_members import MemberRules
from .group_values import groups, topics, which


class OffsetRules(MemberRules):
    """What happens to topics and offsets."""

    @rule(
        topic=topics,
        action=st.sampled_from(["create", "grow", "delete", "again"]),
        count=st.integers(1, 4),
        at_once=st.booleans(),
    )
    def change_topics(self, topic: str, action: str, count: int, at_once: bool) -> None:
        view = self.topics.by_name(topic)
        if view is None:
            self.topics.create(topic, count)
        elif action == "grow":
            self.topics.grow(topic, view.partitions + count)
        elif action == "delete":
            self.topics.delete(topic)
        elif action == "again":
            self.topics.delete(topic)
            self.topics.create(topic, count)
        self.coordinator.carry_out(self.coordinator.shard.topics_changed(self.coordinator.now))
        if at_once:
            self.go_on(None)

    def commit_as(self, request: Commit) -> list[bool]:
        expected = [self.spec_of_commit(request, offset) for offset in request.offsets]
        values = {}
        for offset, stored in zip(request.offsets, expected, strict=True):
            if stored:
                view = self.topics.by_name(offset.topic)
                assert view is not None
                values[request.group_id, offset.topic, offset.partition] = OffsetCommitValue(
                    offset.offset, offset.leader_epoch, offset.metadata, self.coordinator.now, topic_id=view.topic_id
                )
        try:
            answers = self.coordinator.decide(self.coordinator.shard.commit(request, self.coordinator.now))
        except LogServerError as error:
            if self.coordinator.is_full and error.code is ErrorCode.coordinator_not_available:
                return []
            assert not any(expected), (request, error)
            return []
        assert [answer is None for answer in answers] == expected, (request, answers, expected)
        self.offsets.update(values)
        return expected

    @rule(number=which, done=st.integers(0, 5), others=st.booleans())
    def commit(self, number: int, done: int, others: bool) -> None:
        """A client commits what it has done: it went on where its group was."""
        client = self.pick(number)
        if client is None or client.epoch <= 0:
            return
        offsets = []
        places = []
        for topic_id, partition in sorted(client.owned):
            view = self.topics.by_id(topic_id)
            if view is None:
                continue
            place = (client.group_id, view.name, partition)
            committed = self.offsets.get(place)
            position = committed.offset if committed is not None and committed.topic_id == topic_id else 0
            offsets.append(OffsetToCommit(view.name, partition, position + done, done - 1, f"by {client.member_id}"))
            places.append(place)
        if others:
            offsets += [
                OffsetToCommit("nowhere", 0, 1),
                OffsetToCommit("apples", 77, 1),
                OffsetToCommit("bananas", 0, -1),
            ]
        request = Commit(client.group_id, client.member_id, client.epoch, offsets, client.instance_id)
        stored = self.commit_as(request)
        if not client.is_declared_dead and not self.coordinator.is_full:
            # Who owns a partition and was told so commits for it.
            assert stored[: len(places)] == [True] * len(places), (client, request, stored)

    @rule(number=which, back=st.sampled_from([0, 1, 2, 3, -1]), topic=topics)
    def commit_too_late(self, number: int, back: int, topic: str) -> None:
        """A commit comes late, for what the client may have given up since; or under an epoch that it can't have."""
        client = self.pick(number)
        if client is None or client.epoch <= 0 or client.epoch - back <= 0:
            return
        offsets = [OffsetToCommit(topic, partition, 3) for partition in range(3)]
        expected = self.commit_as(
            Commit(client.group_id, client.member_id, client.epoch - back, offsets, client.instance_id)
        )
        if not any(expected):
            return
        member = self.coordinator.shard.groups[client.group_id].members[client.member_id]
        if member.epoch != client.epoch - back:
            # Only for what the client, or who it was before, still has.
            view = self.topics.by_name(topic)
            assert view is not None
            for offset, stored in zip(offsets, expected, strict=True):
                partition = (view.topic_id, offset.partition)
                assert not stored or partition in member.assigned or partition in member.revoking

    @rule(group_id=groups, member_id=st.sampled_from(["", "nobody"]), epoch=st.sampled_from([-1, 0, 3]), topic=topics)
    def commit_as_nobody(self, group_id: str, member_id: str, epoch: int, topic: str) -> None:
        """Allowed where a group has no members, to who does not claim to be one."""
        self.commit_as(Commit(group_id, member_id, epoch, [OffsetToCommit(topic, 0, 7)]))

    @rule(group_id=groups, topic=topics)
    def delete_offsets(self, group_id: str, topic: str) -> None:
        shard = self.coordinator.shard
        places = [(topic, number) for number in range(4)]
        if not shard.has(group_id) or self.coordinator.is_full:
            return
        is_subscribed = group_id in shard.groups and any(
            topic in shard.groups[group_id].names_of(member) for member in shard.groups[group_id].members.values()
        )
        answers = self.coordinator.decide(shard.delete_offsets(group_id, places))
        assert [answer is not None for answer in answers] == [is_subscribed] * len(places)
        if not is_subscribed:
            for place in places:
                self.offsets.pop((group_id, *place), None)

    @rule(group_id=groups)
    def delete_group(self, group_id: str) -> None:
        shard = self.coordinator.shard
        has_members = any(key[0] == group_id for key in self.members())
        exists = group_id in shard.groups or any(place[0] == group_id for place in self.offsets)
        if self.coordinator.is_full:
            return
        try:
            self.coordinator.decide(shard.delete_group(group_id, self.coordinator.now))
        except LogServerError as error:
            expected = ErrorCode.non_empty_group if has_members else ErrorCode.group_id_not_found
            assert error.code is expected and (has_members or not exists)
            return
        assert exists and not has_members
        self.emptied.pop(group_id, None)
        self.offsets = {place: value for place, value in self.offsets.items() if place[0] != group_id}
        assert not shard.has(group_id)
