"""Every key and value of `__consumer_offsets`."""

from typing import TypeAlias

from logserver.coordinator.formats.records import GroupKey, GroupValue
from logserver.coordinator.formats.share_records import ShareKey, ShareValue

Key: TypeAlias = GroupKey | ShareKey
Value: TypeAlias = GroupValue | ShareValue
