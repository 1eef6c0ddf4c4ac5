"""A shard with its log, and members of share groups that send heartbeats to it."""

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import LEAVING
from logserver.coordinator.share.group import ShareGroup
from logserver.coordinator.share.limits import ShareLimits
from logserver.coordinator.share.requests import Initialization, ShareHeartbeat, ShareHeartbeatAnswer

from ..support import Coordinator, FakeTopics

LIMITS = ShareLimits(assignment_interval_ms=0)


class Sharing(Coordinator):
    """A shard, and what becomes of the state of partitions.

    Args:
        keeps_state: whether the state of partitions is there as soon as it is asked for; otherwise `initialize` it.
    """

    def __init__(self, topics: FakeTopics, limits: ShareLimits = LIMITS, *, keeps_state: bool = True) -> None:
        super().__init__(topics, GroupLimits(assignment_interval_ms=0, share=limits))
        self.keeps_state = keeps_state
        self.asked: list[Initialization] = []
        """What is to be initialized, and has not been."""

    def beat(
        self, member_id: str, epoch: int, *topics: str, group_id: str = "g", rack_id: str | None = None
    ) -> ShareHeartbeatAnswer:
        """Sends a heartbeat; without topics it says that they have not changed."""
        request = ShareHeartbeat(group_id, member_id, epoch, rack_id, topics or None, "client", "/127.0.0.1")
        answer = self.decide(self.shard.share_heartbeat(request, self.now))
        if answer.initialization is not None:
            self.asked.append(answer.initialization)
            if self.keeps_state:
                self.initialize()
        return answer

    def enter(self, member_id: str, *topics: str, group_id: str = "g") -> Assignment:
        """Joins, as the coordinator has it: with the partitions whose state is there by then."""
        answer = self.beat(member_id, 0, *topics, group_id=group_id)
        later = self.beat(member_id, answer.member_epoch, group_id=group_id)
        return self.members(group_id)[later.member_id]

    def leave(self, member_id: str, group_id: str = "g") -> None:
        self.beat(member_id, LEAVING, group_id=group_id)

    def initialize(self) -> None:
        """Reports that all state which was asked for is there."""
        for group_id, _, partitions in self.asked:
            self.decide(self.shard.share.initialized(group_id, partitions))
        self.asked.clear()

    def shared(self, group_id: str = "g") -> ShareGroup:
        return self.shard.share.groups[group_id]

    def members(self, group_id: str = "g") -> dict[str, Assignment]:
        """What every member was told."""
        return {member_id: member.assigned for member_id, member in self.shared(group_id).members.items()}

    def all_beat(self, group_id: str = "g") -> dict[str, Assignment]:
        """Has every member send a heartbeat until nothing changes; returns what each has."""
        for _ in range(20):
            size = len(self.log)
            for member_id, member in list(self.shared(group_id).members.items()):
                self.beat(member_id, member.epoch, group_id=group_id)
            if len(self.log) == size:
                return self.members(group_id)
            self.now += 1
        raise AssertionError(f"{group_id} does not come to rest")
