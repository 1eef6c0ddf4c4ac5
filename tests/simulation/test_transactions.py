"""The checks of transactions, groups and topics find what must not be, and let pass what may."""

import pytest

from logserver.simulation.checks.groups import check_groups, check_topics
from logserver.simulation.checks.transactions import check_transactions
from logserver.simulation.ledger import NEVER, Commit, Violation
from logserver.simulation.world import SCRATCH

from .story import PLACE, Story


def found(story: Story) -> str | None:
    """Returns what the check of transactions says."""
    try:
        check_transactions(story.state, story.ledger, story.at)
    except Violation as violation:
        return violation.kind
    return None


def run(*, asked_commit: bool | None, ended: bool | None, committed: tuple[bool | None, ...]) -> Story:
    """A transaction with a record for each of `committed`, which says what the markers in the log say of it."""
    story = Story()
    transaction = story.transact(asked_commit=asked_commit, ended=ended)
    for number, one in enumerate(committed):
        story.send(f"tx.1:{number}", transaction=transaction, acked=number)
        story.store(number, f"tx.1:{number}", committed=one)
    return story


@pytest.mark.parametrize(
    ("asked_commit", "ended", "committed"),
    [
        (True, True, (True, True)),
        (True, None, (True, True)),
        (True, None, (False, False)),
        (False, False, (False, False)),
        (None, None, (False, None)),
        (None, None, (None, None)),
    ],
)
def test_what_may_become_of_a_transaction_passes(
    asked_commit: bool | None, ended: bool | None, committed: tuple[bool | None, ...]
) -> None:
    assert found(run(asked_commit=asked_commit, ended=ended, committed=committed)) is None


@pytest.mark.parametrize(("asked_commit", "ended"), [(None, None), (False, None), (False, False)])
def test_a_transaction_that_is_committed_though_nobody_asked_for_that_is_found(
    asked_commit: bool | None, ended: bool | None
) -> None:
    assert found(run(asked_commit=asked_commit, ended=ended, committed=(True,))) == "aborted read"


def test_a_commit_by_somebody_whose_id_another_one_has_taken_is_found() -> None:
    story = run(asked_commit=True, ended=None, committed=(True,))
    story.ledger.transactions[0].was_fenced = True
    assert found(story) == "zombie commit"


@pytest.mark.parametrize("other", [False, None])
def test_half_a_transaction_is_found(other: bool | None) -> None:
    assert found(run(asked_commit=True, ended=None, committed=(True, other))) == "torn transaction"


def test_a_transaction_that_was_committed_and_is_not_is_found() -> None:
    assert found(run(asked_commit=True, ended=True, committed=(False, False))) == "lost transaction"


def test_a_committed_transaction_without_one_of_its_records_is_found() -> None:
    story = run(asked_commit=True, ended=True, committed=(True, True))
    del story.partition().records[1], story.partition().committed[1]
    assert found(story) == "torn transaction"


def test_what_the_server_shows_as_committed_is_held_against_the_markers() -> None:
    story = run(asked_commit=False, ended=False, committed=(False,))
    story.partition().committed[0] = "tx.1:0"
    assert found(story) == "aborted read"
    story = run(asked_commit=True, ended=True, committed=(True,))
    story.partition().committed.clear()
    assert found(story) == "committed record is not shown"
    story = run(asked_commit=None, ended=None, committed=(None,))
    story.partition().last_stable = 1
    assert found(story) == "last stable offset"


# Groups


def commit(story: Story, offset: int, *, is_acked: bool = False, was_refused: bool = False) -> Commit:
    """Commits an offset of the group `g`, a moment after the one before."""
    story.now_s += 1
    made = Commit(offset, story.now_s)
    if is_acked:
        made.acked_s, made.acked_at = story.now_s, story.at
    made.was_refused = was_refused
    story.ledger.commits.setdefault(("g", PLACE), []).append(made)
    return made


def at_offset(story: Story, offset: int) -> str | None:
    """Returns what the check says where the group is at an offset, -1 for none."""
    story.state.offsets["g", PLACE] = offset
    try:
        check_groups(story.state, story.ledger, story.at)
    except Violation as violation:
        return violation.kind
    return None


def test_a_committed_offset_that_is_gone_or_older_or_of_nobody_is_found() -> None:
    story = Story()
    commit(story, 3, is_acked=True)
    commit(story, 5, is_acked=True)
    commit(story, 8)
    commit(story, 9, was_refused=True)
    assert [at_offset(story, offset) for offset in (5, 8)] == [None, None]
    assert [at_offset(story, offset) for offset in (-1, 3, 9)] == ["lost committed offset"] * 3
    assert at_offset(story, 7) == "unknown offset"


def test_of_commits_at_the_same_time_any_may_be_the_last() -> None:
    story = Story()
    first = commit(story, 3)
    commit(story, 5, is_acked=True)
    first.acked_s, first.acked_at = story.now_s + 1, story.at
    assert [at_offset(story, offset) for offset in (3, 5)] == [None, None]


# Topics


def topics(story: Story) -> str | None:
    try:
        check_topics(story.state, story.ledger, story.at)
    except Violation as violation:
        return violation.kind
    return None


def test_a_topic_that_is_lost_or_came_back_is_found() -> None:
    story = Story()
    story.ledger.scratch.append((True, 1, 10.0, story.at))
    assert topics(story) == "lost topic"
    story.state.topics[SCRATCH] = {"retention.ms": "100001"}
    assert topics(story) is None
    # It may be deleted before that is answered, and must not be there afterwards.
    story.ledger.scratch.append((False, 1, 11.0, NEVER))
    assert topics(story) is None
    story.ledger.scratch[-1] = (False, 1, 11.0, story.at)
    assert topics(story) == "topic came back"
    del story.state.topics[SCRATCH]
    assert topics(story) is None
