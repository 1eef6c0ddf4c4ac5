"""Topic settings of Apache Kafka that change nothing on a single node without tiered storage, but can be given.

Tools and programs create topics with them, and read them back. What can't be kept is refused with a sentence.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from logserver.settings.definition import About, Definition, definitions_of

_REPLICA: Final = re.compile(r"[0-9]+:[0-9]+|\*")
_NO_TIERS: Final = "there is no tiered storage here"


def _check_replica(text: str) -> None:
    if not _REPLICA.fullmatch(text):
        raise ValueError("replicas are named PARTITION:BROKER, or all of them *")


class IdleTopicSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that are kept and described, and looked at by nobody."""

    preallocate: Annotated[
        bool,
        About(
            "Whether a segment's file gets its whole size at once; here files grow as records come.",
            only=False,
            because="files grow as records come",
        ),
    ] = False
    unclean_leader_election_enable: Annotated[
        bool,
        About("Whether a replica that lacks records may become the leader; here there is one replica, which has all."),
    ] = False
    leader_replication_throttled_replicas: Annotated[
        tuple[str, ...],
        About(
            "Replicas whose replication is slowed down where they lead; here nothing is replicated.",
            check=_check_replica,
            may_be_empty=True,
            example="0:1,1:1",
        ),
    ] = ()
    follower_replication_throttled_replicas: Annotated[
        tuple[str, ...],
        About(
            "Replicas whose replication is slowed down where they follow; here nothing is replicated.",
            check=_check_replica,
            may_be_empty=True,
            example="0:1,1:1",
        ),
    ] = ()
    remote_storage_enable: Annotated[
        bool, About("Whether old segments go to tiered storage; there is none.", only=False, because=_NO_TIERS)
    ] = False
    remote_log_copy_disable: Annotated[bool, About("Whether nothing more goes to tiered storage; there is none.")] = (
        False
    )
    remote_log_delete_on_disable: Annotated[
        bool,
        About("Whether tiered data goes when tiered storage ends; there is none."),
    ] = False
    local_retention_ms: Annotated[
        int,
        About(
            "How long segments that are in tiered storage stay here, too, in milliseconds; -2 is as long as "
            "retention.ms. There is no tiered storage.",
            minimum=-2,
        ),
    ] = -2
    local_retention_bytes: Annotated[
        int,
        About(
            "How many bytes of segments that are in tiered storage stay here, too; -2 is as many as retention.bytes. "
            "There is no tiered storage.",
            minimum=-2,
        ),
    ] = -2


IDLE_TOPIC_DEFINITIONS: Final[dict[str, Definition]] = definitions_of(IdleTopicSettings)
"""Every one by dotted name."""
