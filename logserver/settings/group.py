"""Settings of single groups: names, types, bounds and meaning; each overrides one of the server's."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from logserver.settings.definition import INT32_MAX, About, Definition, Inherited, definitions_of
from logserver.settings.share_reset import check_share_reset


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one group may have of its own."""

    consumer_session_timeout_ms: Annotated[
        int,
        About(
            "How long a member of the group may be silent, in milliseconds, before its partitions go to others.",
            minimum=1,
            maximum=INT32_MAX,
            example="45000",
            inherited=Inherited((("group_consumer_session_timeout_ms", 1),)),
        ),
    ]
    consumer_heartbeat_interval_ms: Annotated[
        int,
        About(
            "How often members of the group are asked to send a heartbeat, in milliseconds; less than "
            "consumer.session.timeout.ms.",
            minimum=1,
            maximum=INT32_MAX,
            example="5000",
            inherited=Inherited((("group_consumer_heartbeat_interval_ms", 1),)),
        ),
    ]
    consumer_assignment_interval_ms: Annotated[
        int,
        About(
            "Shortest time in milliseconds between two assignments of the group; large groups take longer.",
            minimum=0,
            maximum=INT32_MAX,
            example="100",
            inherited=Inherited((("group_consumer_assignment_interval_ms", 1),)),
        ),
    ]
    share_session_timeout_ms: Annotated[
        int,
        About(
            "How long a member of the share group may be silent, in milliseconds, before it is given up.",
            minimum=1,
            maximum=INT32_MAX,
            example="45000",
            inherited=Inherited((("group_share_session_timeout_ms", 1),)),
        ),
    ]
    share_heartbeat_interval_ms: Annotated[
        int,
        About(
            "How often members of the share group are asked to send a heartbeat, in milliseconds; less than "
            "share.session.timeout.ms.",
            minimum=1,
            maximum=INT32_MAX,
            example="5000",
            inherited=Inherited((("group_share_heartbeat_interval_ms", 1),)),
        ),
    ]
    share_assignment_interval_ms: Annotated[
        int,
        About(
            "Shortest time in milliseconds between two assignments of the share group.",
            minimum=0,
            maximum=INT32_MAX,
            example="100",
            inherited=Inherited((("group_share_assignment_interval_ms", 1),)),
        ),
    ]
    share_record_lock_duration_ms: Annotated[
        int,
        About(
            "How long, in milliseconds, a record that a member of the share group was given is kept from the others.",
            minimum=1_000,
            maximum=INT32_MAX,
            example="30000",
            inherited=Inherited((("group_share_record_lock_duration_ms", 1),)),
        ),
    ]
    share_delivery_count_limit: Annotated[
        int,
        About(
            "How often a record is delivered to the share group at most.",
            minimum=2,
            maximum=INT32_MAX,
            example="5",
            inherited=Inherited((("group_share_delivery_count_limit", 1),)),
        ),
    ]
    share_partition_max_record_locks: Annotated[
        int,
        About(
            "How many offsets of a partition may be under way in the share group, from the first that is not settled.",
            minimum=100,
            maximum=INT32_MAX,
            example="2000",
            inherited=Inherited((("group_share_partition_max_record_locks", 1),)),
        ),
    ]
    share_auto_offset_reset: Annotated[
        str,
        About(
            "Where the share group begins in a partition of which nothing was delivered to it: `earliest`, `latest`, "
            "or `by_duration:` and how long ago, as ISO 8601 has it: by_duration:PT1H.",
            check=check_share_reset,
            example="earliest",
            inherited=Inherited((), "latest"),
        ),
    ]
    share_isolation_level: Annotated[
        Literal["read_committed", "read_uncommitted"],
        About(
            "Whether the share group gets records of transactions that were aborted, or have not ended yet.",
            example="read_committed",
            inherited=Inherited((), "read_uncommitted"),
        ),
    ]
    share_renew_acknowledge_enable: Annotated[
        bool,
        About(
            "Whether members of the share group may keep a record for longer by renewing its lock.",
            example="true",
            inherited=Inherited((), True),
        ),
    ]


GROUP_DEFINITIONS: Final[dict[str, Definition]] = definitions_of(GroupSettings)
"""Every setting of a group by dotted name."""
