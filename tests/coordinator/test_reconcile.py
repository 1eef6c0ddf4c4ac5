"""One member's steps towards what it is to own: every state, with everything that can lead out of it."""

import pytest

from logserver.coordinator.formats import MemberState
from logserver.coordinator.member import AWAY, JOINING, Member
from logserver.coordinator.reconcile import reconcile

A, B, C, D = (("t", number) for number in range(4))
STABLE, UNREVOKED, UNRELEASED = (
    MemberState.STABLE,
    MemberState.UNREVOKED_PARTITIONS,
    MemberState.UNRELEASED_PARTITIONS,
)
NOTHING: frozenset[tuple[str, int]] = frozenset()


def member(
    *assigned: tuple[str, int],
    epoch: int = 5,
    state: MemberState = STABLE,
    revoking: tuple[tuple[str, int], ...] = (),
) -> Member:
    return Member(
        "m",
        epoch=epoch,
        previous_epoch=epoch - 1,
        state=state,
        assigned=dict.fromkeys(assigned, 2),
        revoking=dict.fromkeys(revoking, 2),
    )


def owners(*members: Member) -> set[tuple[str, int]]:
    return {partition for found in members for partition in (*found.assigned, *found.revoking)}


# STABLE


def test_a_stable_member_of_the_targets_epoch_stays_the_same_object() -> None:
    before = member(A)
    assert reconcile(before, frozenset({A, B}), 5, owners(before), frozenset({A})) is before


def test_with_the_same_partitions_only_the_epoch_moves() -> None:
    before = member(A)
    after = reconcile(before, frozenset({A}), 7, owners(before))
    assert after == before._replace(epoch=7, previous_epoch=5)


def test_free_partitions_come_at_once_and_know_since_when() -> None:
    before = member(A)
    after = reconcile(before, frozenset({A, B}), 7, owners(before))
    assert (after.state, after.epoch, after.previous_epoch) == (STABLE, 7, 5)
    assert after.assigned == {A: 2, B: 7}


def test_what_others_own_is_waited_for_in_the_new_epoch() -> None:
    before = member(A)
    after = reconcile(before, frozenset({A, B, C}), 7, owners(before, member(B)))
    assert (after.state, after.epoch) == (UNRELEASED, 7)
    assert after.assigned == {A: 2, C: 7}


def test_what_others_have_been_asked_for_is_theirs_until_they_have_given_it_up() -> None:
    before = member(A)
    after = reconcile(before, frozenset({A, B}), 7, owners(before, member(revoking=(B,))))
    assert (after.state, after.assigned) == (UNRELEASED, {A: 2})


def test_partitions_to_be_given_up_are_asked_for_in_the_old_epoch() -> None:
    before = member(A, B)
    after = reconcile(before, frozenset({B, C}), 7, owners(before))
    assert (after.state, after.epoch, after.previous_epoch) == (UNREVOKED, 5, 4)
    assert (after.assigned, after.revoking) == ({B: 2}, {A: 2})


@pytest.mark.parametrize("owned", [None, frozenset({A}), frozenset({A, B})])
def test_who_owns_them_still_or_does_not_say_is_asked(owned: frozenset[tuple[str, int]] | None) -> None:
    before = member(A, B)
    assert reconcile(before, frozenset({B}), 7, owners(before), owned).state is UNREVOKED


def test_who_says_that_it_does_not_own_them_anyway_is_not_asked() -> None:
    before = member(A, B)
    after = reconcile(before, frozenset({B, C}), 7, owners(before), frozenset({B}))
    assert (after.state, after.epoch) == (STABLE, 7)
    assert (after.assigned, after.revoking) == ({B: 2, C: 7}, {})


def test_a_new_member_begins_in_the_targets_epoch() -> None:
    after = reconcile(Member("m"), frozenset({A}), 3, set(), NOTHING)
    assert (after.state, after.epoch, after.previous_epoch, after.assigned) == (STABLE, 3, JOINING, {A: 3})


def test_a_new_member_without_a_target_is_stable_without_partitions() -> None:
    after = reconcile(Member("m"), NOTHING, 3, {A}, NOTHING)
    assert (after.state, after.epoch, after.assigned) == (STABLE, 3, {})


# UNREVOKED_PARTITIONS


@pytest.mark.parametrize("owned", [None, frozenset({A}), frozenset({A, B})])
@pytest.mark.parametrize("target", [frozenset({B}), frozenset({A, B}), NOTHING])
def test_it_is_waited_for_until_they_are_given_up(
    owned: frozenset[tuple[str, int]] | None, target: frozenset[tuple[str, int]]
) -> None:
    before = member(B, state=UNREVOKED, revoking=(A,))
    assert reconcile(before, target, 9, owners(before), owned) is before


@pytest.mark.parametrize("owned", [NOTHING, frozenset({B}), frozenset({D})])
def test_giving_up_moves_to_the_target(owned: frozenset[tuple[str, int]]) -> None:
    before = member(B, state=UNREVOKED, revoking=(A,))
    after = reconcile(before, frozenset({B, C}), 7, owners(before), owned)
    assert (after.state, after.epoch, after.previous_epoch) == (STABLE, 7, 5)
    assert (after.assigned, after.revoking) == ({B: 2, C: 7}, {})


def test_giving_up_may_lead_to_waiting() -> None:
    before = member(B, state=UNREVOKED, revoking=(A,))
    after = reconcile(before, frozenset({B, C}), 7, owners(before, member(C)), frozenset({B}))
    assert (after.state, after.epoch, after.assigned, after.revoking) == (UNRELEASED, 7, {B: 2}, {})


def test_what_was_given_up_can_come_back_and_counts_from_then() -> None:
    before = member(B, state=UNREVOKED, revoking=(A,))
    after = reconcile(before, frozenset({A, B}), 7, owners(before), frozenset({B}))
    assert (after.state, after.assigned, after.revoking) == (STABLE, {A: 7, B: 2}, {})


def test_giving_up_may_be_followed_by_giving_up_more() -> None:
    before = member(B, C, state=UNREVOKED, revoking=(A,))
    after = reconcile(before, frozenset({C, D}), 7, owners(before), frozenset({B, C}))
    assert (after.state, after.epoch) == (UNREVOKED, 5)
    assert (after.assigned, after.revoking) == ({C: 2}, {B: 2})


# UNRELEASED_PARTITIONS


def test_it_waits_as_long_as_others_own_them() -> None:
    before = member(A, state=UNRELEASED)
    assert reconcile(before, frozenset({A, B}), 5, owners(before, member(B))) is before


def test_what_is_free_comes_in_the_same_epoch() -> None:
    before = member(A, state=UNRELEASED)
    after = reconcile(before, frozenset({A, B, C}), 5, owners(before, member(C)))
    assert (after.state, after.epoch, after.previous_epoch) == (UNRELEASED, 5, 4)
    assert after.assigned == {A: 2, B: 5}
    after = reconcile(after, frozenset({A, B, C}), 5, owners(after))
    assert (after.state, after.assigned) == (STABLE, {A: 2, B: 5, C: 5})


def test_a_newer_target_may_ask_it_to_give_up_instead() -> None:
    before = member(A, state=UNRELEASED)
    after = reconcile(before, frozenset({B}), 6, owners(before, member(B)))
    assert (after.state, after.epoch, after.assigned, after.revoking) == (UNREVOKED, 5, {}, {A: 2})


def test_a_newer_target_may_end_the_wait() -> None:
    before = member(A, state=UNRELEASED)
    after = reconcile(before, frozenset({A}), 6, owners(before, member(B)))
    assert (after.state, after.epoch, after.assigned) == (STABLE, 6, {A: 2})


# A state of a later release


@pytest.mark.parametrize("owned", [None, frozenset({B})])
def test_who_is_in_an_unknown_state_and_may_own_something_stays_there(
    owned: frozenset[tuple[str, int]] | None,
) -> None:
    before = member(B, state=MemberState.UNKNOWN, revoking=(A,))
    assert reconcile(before, frozenset({B}), 7, owners(before), owned) is before


def test_who_is_in_an_unknown_state_begins_anew_when_it_owns_nothing() -> None:
    before = member(B, state=MemberState.UNKNOWN, revoking=(A,))
    after = reconcile(before, frozenset({A, B}), 7, owners(before), NOTHING)
    assert (after.state, after.epoch, after.assigned, after.revoking) == (STABLE, 7, {A: 7, B: 2}, {})


# Static members that come back


def test_who_comes_back_keeps_what_is_still_its_own_and_has_given_up_the_rest() -> None:
    before = member(A, B)._replace(epoch=JOINING, previous_epoch=JOINING)
    after = reconcile(before, frozenset({B, C}), 7, owners(before), NOTHING)
    assert (after.state, after.epoch, after.previous_epoch) == (STABLE, 7, JOINING)
    assert (after.assigned, after.revoking) == ({B: 2, C: 7}, {})


def test_an_epoch_of_a_member_that_is_away_is_no_other_members() -> None:
    assert Member("m", epoch=AWAY).is_away and not member().is_away
