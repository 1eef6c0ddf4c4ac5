"""A consumer group for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from logserver.cli.output import NOTHING, print_table

if TYPE_CHECKING:
    from logserver_client import Group, GroupMember, GroupOffset, TopicPartition


def print_group(group: Group) -> None:
    """Prints a group, its members and its offsets on standard output."""
    click.echo(_headline(group))
    if group.members:
        click.echo()
        _print_members(group.members)
    if group.offsets:
        click.echo()
        _print_offsets(group.offsets)


def _headline(group: Group) -> str:
    parts = [f"Group {group.group_id}", group.type, group.state]
    if group.members:
        parts.append("1 member" if len(group.members) == 1 else f"{len(group.members)} members")
        parts.append(f"assignor {group.assignor}")
    parts.append(f"lag {group.lag:,}")
    text = ", ".join(parts)
    unknown = sum(offset.lag is None for offset in group.offsets)
    return text if not unknown else f"{text} without {unknown} {'partition' if unknown == 1 else 'partitions'}"


def _print_members(members: tuple[GroupMember, ...]) -> None:
    print_table(
        ("MEMBER", "INSTANCE", "CLIENT", "HOST", "STATE", "OWNS", "IS TO OWN", "SESSION LEFT"),
        [
            (
                member.member_id,
                member.instance_id or NOTHING,
                member.client_id,
                member.client_host,
                member.state,
                len(member.assigned),
                len(member.target),
                f"{member.session_left_ms / 1000:.1f} s",
            )
            for member in members
        ],
    )


def _print_offsets(offsets: tuple[GroupOffset, ...]) -> None:
    print_table(
        ("TOPIC", "PARTITION", "COMMITTED", "START", "END", "LAG", "MEMBER"),
        [
            (
                offset.topic,
                offset.partition,
                NOTHING if offset.committed_offset is None else offset.committed_offset,
                offset.log_start_offset if offset.error is None else NOTHING,
                offset.high_watermark if offset.error is None else NOTHING,
                NOTHING if offset.lag is None else offset.lag,
                offset.member_id or NOTHING,
            )
            for offset in offsets
        ],
    )
    for offset in offsets:
        if offset.error is not None:
            click.echo(f"Partition {offset.partition} of {offset.topic}: {offset.error.message or offset.error.name}")


def group_document(group: Group) -> dict[str, Any]:
    """The group as one JSON document."""
    return {
        "group_id": group.group_id,
        "type": group.type,
        "state": group.state,
        "group_epoch": group.group_epoch,
        "assignment_epoch": group.assignment_epoch,
        "assignor": group.assignor,
        "lag": group.lag,
        "members": [_member_document(member) for member in group.members],
        "offsets": [_offset_document(offset) for offset in group.offsets],
    }


def _member_document(member: GroupMember) -> dict[str, Any]:
    return {
        "member_id": member.member_id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "member_epoch": member.member_epoch,
        "state": member.state,
        "topics": list(member.subscription.topics),
        "pattern": member.subscription.pattern,
        "assigned": _partition_documents(member.assigned),
        "target": _partition_documents(member.target),
        "session_left_ms": member.session_left_ms,
    }


def _partition_documents(partitions: tuple[TopicPartition, ...]) -> list[dict[str, Any]]:
    return [{"topic": found.topic, "partition": found.partition} for found in partitions]


def _offset_document(offset: GroupOffset) -> dict[str, Any]:
    error = offset.error
    return {
        "topic": offset.topic,
        "partition": offset.partition,
        "committed_offset": offset.committed_offset,
        "leader_epoch": offset.leader_epoch,
        "metadata": offset.metadata,
        "commit_timestamp": offset.commit_timestamp_ms,
        "log_start_offset": offset.log_start_offset if error is None else None,
        "high_watermark": offset.high_watermark if error is None else None,
        "lag": offset.lag,
        "member_id": offset.member_id,
        "error": None if error is None else {"code": error.code, "name": error.name, "message": error.message},
    }
