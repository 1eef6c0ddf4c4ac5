"""Offsets of a group, as its members commit and fetch them in either protocol."""

from collections.abc import Callable
from typing import Final

from logserver.errors import ErrorCode
from logserver.simulation.clients.kafka import OFFSET_COMMIT, OFFSET_FETCH, KafkaClient
from logserver.simulation.ledger import Commit, Ledger, Place, Violation

REFUSED: Final = frozenset(
    {
        ErrorCode.fenced_member_epoch,
        ErrorCode.stale_member_epoch,
        ErrorCode.unknown_member_id,
        ErrorCode.unreleased_instance_id,
        ErrorCode.illegal_generation,
        ErrorCode.fenced_instance_id,
    }
)
"""What a member is told that is none any more; nothing of what it asked for is done."""


async def fetch_offset(client: KafkaClient, ledger: Ledger, group: str, place: Place) -> int | None:
    """Returns the offset that a group is at, -1 if it has none; None if that is not told now.

    Raises:
        Lost: there was no answer.
        Violation: it is older than one whose commit had been acknowledged before, or nobody committed it.
    """
    began_s = ledger.now()
    asked = {"group_id": group, "topics": [{"name": place[0], "partition_indexes": [place[1]]}]}
    answer = await client.call(OFFSET_FETCH, 8, {"groups": [asked], "require_stable": True})
    found = answer.groups[0]
    if found.error_code or found.topics[0].partitions[0].error_code:
        return None
    offset = int(found.topics[0].partitions[0].committed_offset)
    check_offset(ledger, group, place, offset, lambda one: one.acked_s is not None and one.acked_s <= began_s)
    return offset


async def commit_offset(
    client: KafkaClient,
    ledger: Ledger,
    group: str,
    place: Place,
    offset: int,
    member: str,
    epoch: int,
    instance: str | None = None,
) -> ErrorCode:
    """Commits an offset as a member of a group; returns what that was answered with.

    Args:
        epoch: of the member, or its generation.

    Raises:
        Lost: there was no answer.
    """
    commit = Commit(offset, ledger.now())
    ledger.commits.setdefault((group, place), []).append(commit)
    ledger.note(member, f"commits {offset} of {place}", group)
    one = {"partition_index": place[1], "committed_offset": offset, "committed_metadata": ""}
    message = {
        "group_id": group,
        "generation_id_or_member_epoch": epoch,
        "member_id": member,
        "group_instance_id": instance,
        "topics": [{"name": place[0], "partitions": [one]}],
    }
    answer = await client.call(OFFSET_COMMIT, 9, message)
    code = ErrorCode(answer.topics[0].partitions[0].error_code)
    if code is ErrorCode.none:
        commit.acked_s, commit.acked_at = ledger.now(), ledger.promised("offset")
        ledger.note(member, f"has committed {offset} of {place}", group)
    elif code in REFUSED or code is ErrorCode.rebalance_in_progress:
        commit.was_refused = True
    return code


def check_offset(ledger: Ledger, group: str, place: Place, offset: int, is_acked: Callable[[Commit], bool]) -> None:
    """Checks an offset that a group is said to be at.

    Args:
        is_acked: whether a commit was acknowledged before.

    Raises:
        Violation: it is older than one that was acknowledged, or nobody committed it.
    """
    commits = ledger.commits.get((group, place), [])
    acked = [one for one in commits if is_acked(one)]
    # Of several at a time any may have been the last.
    newest_s = max((one.began_s for one in acked), default=-1.0)
    possible = [one for one in commits if not one.was_refused and (one.acked_s is None or one.acked_s >= newest_s)]
    if any(one.offset == offset for one in possible) or (offset < 0 and not acked):
        return
    kind = "lost committed offset" if any(one.offset == offset for one in commits) or offset < 0 else "unknown offset"
    last = max(acked, key=lambda one: one.began_s).offset if acked else None
    raise Violation(kind, f"{group} is at {offset} of {place}, and {last} was acknowledged", group)
