"""A member of a share group, as its group's records have it."""

from typing import Final, NamedTuple

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.formats import ShareGroupCurrentMemberAssignmentValue, ShareGroupMemberMetadataValue
from logserver.coordinator.member import JOINING, assignment_of, fields_of

_STABLE: Final = 0
_NOTHING: Final[Assignment] = frozenset()


class ShareMember(NamedTuple):
    """One member. Never changed in place."""

    member_id: str
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    topics: tuple[str, ...] = ()
    """Names that it subscribes to, sorted."""
    epoch: int = JOINING
    previous_epoch: int = JOINING
    assigned: Assignment = _NOTHING

    def with_metadata(self, value: ShareGroupMemberMetadataValue) -> "ShareMember":
        """Returns the member as a record of its metadata says."""
        return self._replace(
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            topics=value.subscribed_topic_names,
        )

    def metadata(self) -> ShareGroupMemberMetadataValue:
        """Returns the record of its metadata."""
        return ShareGroupMemberMetadataValue(self.rack_id, self.client_id, self.client_host, self.topics)

    def with_current(self, value: ShareGroupCurrentMemberAssignmentValue | None) -> "ShareMember":
        """Returns the member as a record of its current assignment says; a tombstone takes everything."""
        if value is None:
            return self._replace(epoch=JOINING, previous_epoch=JOINING, assigned=_NOTHING)
        return self._replace(
            epoch=value.member_epoch,
            previous_epoch=value.previous_member_epoch,
            assigned=assignment_of(value.assigned),
        )

    def current(self) -> ShareGroupCurrentMemberAssignmentValue:
        """Returns the record of its current assignment."""
        return ShareGroupCurrentMemberAssignmentValue(
            self.epoch, self.previous_epoch, _STABLE, fields_of(self.assigned)
        )
