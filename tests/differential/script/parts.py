"""The parts of the script by name, in the order in which they run."""

from collections.abc import Callable
from typing import Final

from ..session import Session
from .configs import alter_configs, config_kinds, incremental_configs
from .data_topics import aged_records, compacted, compression, timestamps
from .every_version import every_version
from .fetching import fetch_sessions, fetching
from .groups_classic import classic_groups, static_members
from .groups_consumer import consumer_groups
from .groups_offsets import group_offsets
from .groups_share import share_groups
from .groups_share_offsets import share_offsets
from .groups_share_records import share_records
from .metadata import metadata
from .node import features, node, quorum, reassignments
from .offsets import offsets
from .producing import idempotence, producing
from .security import security
from .telemetry import telemetry
from .topic_settings import topic_settings
from .topics import create_topics, delete_topics, partitions
from .transactions import transactions
from .versions import others, versions

PARTS: Final[dict[str, Callable[[Session], None]]] = {
    "versions": versions,
    "every-version": every_version,
    "metadata": metadata,
    "producing": producing,
    "idempotence": idempotence,
    "timestamps": timestamps,
    "compacted": compacted,
    "compression": compression,
    "fetching": fetching,
    "fetch-sessions": fetch_sessions,
    "offsets": offsets,
    "aged-records": aged_records,
    "classic-groups": classic_groups,
    "static-members": static_members,
    "consumer-groups": consumer_groups,
    "group-offsets": group_offsets,
    "share-groups": share_groups,
    "share-records": share_records,
    "share-offsets": share_offsets,
    "create-topics": create_topics,
    "topic-settings": topic_settings,
    "partitions": partitions,
    "delete-topics": delete_topics,
    "incremental-configs": incremental_configs,
    "config-kinds": config_kinds,
    "alter-configs": alter_configs,
    "node": node,
    "quorum": quorum,
    "features": features,
    "reassignments": reassignments,
    "transactions": transactions,
    "telemetry": telemetry,
    "security": security,
    "others": others,
}
