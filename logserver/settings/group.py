"""Settings of single groups: names, types, bounds and meaning; each overrides one of the server's."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from logserver.settings.definition import INT32_MAX, About, Definition, Inherited, definitions_of


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


GROUP_DEFINITIONS: Final[dict[str, Definition]] = definitions_of(GroupSettings)
"""Every setting of a group by dotted name."""
