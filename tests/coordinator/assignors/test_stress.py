"""Large groups over a long life: what is true of every assignment stays true at every step."""

import random

import pytest

from logserver.coordinator.assignors import ASSIGNORS, Assignor, MemberSpec

from .groups import Group, Members, after, assert_balanced, assert_total_and_disjoint, owners, shuffled

every_assignor = pytest.mark.parametrize("assignor", ASSIGNORS.values(), ids=ASSIGNORS)


class Life:
    """A group to which things happen."""

    def __init__(self, seed: int, *, members: int, topics: int, share: float) -> None:
        self.rng = random.Random(seed)
        self.share = share
        self.partitions = {f"topic-{number}": self.rng.randint(0, 40) for number in range(topics)}
        self.born = 0
        self.members: Members = {}
        for _ in range(members):
            self.join()

    def topics(self) -> frozenset[str]:
        return frozenset(topic for topic in self.partitions if self.rng.random() < self.share)

    def join(self) -> None:
        instance = f"instance-{self.born}" if self.rng.random() < 0.3 else None
        member_id = f"{self.rng.getrandbits(32):08x}-{self.born}"
        self.members[member_id] = MemberSpec(self.topics(), frozenset(), instance)
        self.born += 1

    def leave(self) -> None:
        if len(self.members) > 1:
            del self.members[self.anybody()]

    def resubscribe(self) -> None:
        somebody = self.anybody()
        self.members[somebody] = self.members[somebody]._replace(subscribed=self.topics())

    def return_under_a_new_id(self) -> None:
        somebody = self.anybody()
        self.members[f"{self.rng.getrandbits(32):08x}-again"] = self.members.pop(somebody)

    def grow(self) -> None:
        self.partitions[self.rng.choice(sorted(self.partitions))] += self.rng.randint(1, 10)

    def remove_topic(self) -> None:
        self.partitions[self.rng.choice(sorted(self.partitions))] = 0

    def anybody(self) -> str:
        return self.rng.choice(sorted(self.members))

    def go_on(self) -> None:
        happenings = [self.join, self.leave, self.resubscribe, self.return_under_a_new_id, self.grow, self.remove_topic]
        for _ in range(self.rng.randint(1, 5)):
            self.rng.choice(happenings)()


@pytest.mark.long
@pytest.mark.timeout(600)
@every_assignor
@pytest.mark.parametrize("share", [1.0, 0.5, 0.05], ids=["all topics", "half", "few"])
@pytest.mark.parametrize("members", [3, 60, 400])
def test_groups_stay_sound_whatever_happens_to_them(assignor: Assignor, share: float, members: int):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    life = Life(seed, members=members, topics=50, share=share)
    for _ in range(150):
        group = Group(life.members, life.partitions)
        assigned = assignor.assign(*group)
        assert_total_and_disjoint(group, assigned)
        if assignor.name == "uniform":
            assert_balanced(group, assigned)
        assert assignor.assign(*shuffled(group, life.rng)) == assigned
        life.members = after(life.members, assigned)
        assert assignor.assign(life.members, life.partitions) == assigned
        life.go_on()


@pytest.mark.long
@every_assignor
def test_ten_thousand_members_share_ten_thousand_partitions(assignor: Assignor):
    topics = {f"topic-{number}": 100 for number in range(100)}
    members = {f"member-{number}": MemberSpec(frozenset(topics), frozenset()) for number in range(10_000)}
    group = Group(members, topics)
    assigned = assignor.assign(*group)
    assert_total_and_disjoint(group, assigned)
    if assignor.name == "uniform":
        assert {len(assignment) for assignment in assigned.values()} == {1}


@pytest.mark.long
def test_a_long_chain_of_shared_topics_comes_to_rest():
    """Each member shares one topic with the next, and every other one has nothing: balance has a long way to go."""
    topics = [f"topic-{number:04d}" for number in range(501)]
    partitions = dict.fromkeys(topics, 200)
    members = {}
    for number in range(500):
        subscribed = topics[number : number + 2]
        everything = frozenset((subscribed[number % 2], partition) for partition in range(200))
        members[f"member-{number:04d}"] = MemberSpec(frozenset(subscribed), everything)
    group = Group(members, partitions)
    assigned = ASSIGNORS["uniform"].assign(*group)
    assert_total_and_disjoint(group, assigned)
    assert_balanced(group, assigned)
    assert len(owners(assigned)) == 501 * 200
