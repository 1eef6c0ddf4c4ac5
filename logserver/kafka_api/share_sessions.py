"""Share sessions: which partitions a member of a share group fetches from, over the requests of one connection
(KIP-932; Apache Kafka: `SharePartitionManager.newContext`, `ShareSessionCache`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from logserver.errors import ErrorCode, LogServerError

if TYPE_CHECKING:
    from logserver.kafka_api.api import Client

INITIAL_EPOCH: Final = 0
FINAL_EPOCH: Final = -1
_MOST_EPOCH: Final = (1 << 31) - 1

SharePlace = tuple[str, int]
"""Topic id and partition number."""


class ShareSession:
    """What one member fetches from. It ends with its connection."""

    def __init__(self, group_id: str, member_id: str, client: Client) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.client = client
        self.epoch = INITIAL_EPOCH + 1
        """Of the next request."""
        self.partitions: dict[SharePlace, None] = {}
        self.news: set[SharePlace] = set()
        """Partitions that the next answer names even if there is nothing to say of them."""
        self.fetches: set[Callable[[], None]] = set()
        """What ends the fetches that wait: more than one if the client does not wait for its answers."""

    def add(self, places: Iterable[SharePlace]) -> None:
        """Adds partitions; fine if they are there."""
        for place in places:
            if place not in self.partitions:
                self.partitions[place] = None
                self.news.add(place)

    def forget(self, places: Iterable[SharePlace]) -> None:
        """Takes partitions out; what is held there stays held."""
        for place in places:
            self.partitions.pop(place, None)
            self.news.discard(place)

    def rotated(self) -> list[SharePlace]:
        """Returns the partitions, beginning with another one in each request."""
        places = list(self.partitions)
        at = self.epoch % len(places) if places else 0
        return places[at:] + places[:at]


class ShareSessions:
    """The share sessions of this node.

    Args:
        released: called when one has ended: what its member holds is to be given back.
    """

    def __init__(self, most: int, released: Callable[[ShareSession], None]) -> None:
        self._most = most
        self._released = released
        self._sessions: dict[tuple[str, str], ShareSession] = {}

    def begin(self, group_id: str, member_id: str, client: Client) -> ShareSession:
        """Returns a new session, in place of one that the member may have; what is held stays held.

        Raises:
            LogServerError: SHARE_SESSION_LIMIT_REACHED.
        """
        before = self._sessions.pop((group_id, member_id), None)
        if before is not None:
            self._end(before)
        if len(self._sessions) >= self._most:
            raise LogServerError(
                ErrorCode.share_session_limit_reached,
                f"there are group.share.max.share.sessions={self._most} share sessions already",
            )
        session = ShareSession(group_id, member_id, client)
        self._sessions[group_id, member_id] = session
        client.when_gone[session] = lambda: self.close(session)
        return session

    def go_on(self, group_id: str, member_id: str, epoch: int) -> ShareSession:
        """Returns the session that a request goes on with, or ends.

        Raises:
            LogServerError: SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH.
        """
        session = self._sessions.get((group_id, member_id))
        if session is None:
            raise LogServerError(
                ErrorCode.share_session_not_found,
                f"the member {member_id!r} of the share group {group_id!r} has no share session; begin with epoch 0",
            )
        if epoch == FINAL_EPOCH:
            return session
        if epoch != session.epoch:
            raise LogServerError(
                ErrorCode.invalid_share_session_epoch,
                f"the share session of {member_id!r} goes on with epoch {session.epoch}, not {epoch}",
            )
        session.epoch = epoch + 1 if epoch < _MOST_EPOCH else INITIAL_EPOCH + 1
        return session

    def close(self, session: ShareSession) -> None:
        """Ends a session, and has given back what its member holds; fine if it has ended."""
        if self._sessions.get((session.group_id, session.member_id)) is session:
            del self._sessions[session.group_id, session.member_id]
            self._end(session)
            self._released(session)

    @staticmethod
    def _end(session: ShareSession) -> None:
        session.client.when_gone.pop(session, None)
        for end in tuple(session.fetches):
            end()
