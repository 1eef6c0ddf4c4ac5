"""What the commits of somebody for one partition have in common, made once for all of them."""

from logserver.coordinator.formats import OffsetCommitKey, encode_key
from logserver.coordinator.requests import Commit


class StandingCommit:
    """Who commits, and for which partition.

    Args:
        committer: a request of theirs; its offsets are passed by.

    Raises:
        ValueError: no record could be about that.
    """

    __slots__ = ("committer", "key", "key_bytes")

    def __init__(self, committer: Commit, topic: str, partition: int) -> None:
        self.committer = committer._replace(offsets=())
        self.key = OffsetCommitKey(committer.group_id, topic, partition)
        self.key_bytes = encode_key(self.key)
