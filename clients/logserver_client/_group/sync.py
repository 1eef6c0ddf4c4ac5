"""What the synchronous consumer can do in a group."""

import threading
from collections.abc import Iterable

from logserver_client._background import BACKGROUND
from logserver_client._consume.core import ConsumerCore, raise_closed
from logserver_client._group.group import Group
from logserver_client._group.offsets import OffsetsToCommit, offsets_to_commit
from logserver_client._group.subscription import Listener, OnCommit, OnPartitions, make_subscription
from logserver_client.types import GroupMetadata, OffsetAndMetadata, PartitionLike, Subscription, TopicPartition


class GroupConsumer:
    """The part of `Consumer` that needs a group id."""

    _core: ConsumerCore
    _group: Group | None
    _is_closed: bool
    _is_calling = False
    _user_thread: threading.Thread | None = None
    """The thread that was last here for records."""

    def subscribe(
        self,
        topics: str | Iterable[str] = (),
        *,
        pattern: str | None = None,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
        on_lost: OnPartitions | None = None,
    ) -> None:
        """Becomes a member of the group and reads the partitions that it is assigned, beside those of earlier calls no
        others.

        Each partition starts where the group has committed, or, if it hasn't, as `auto_offset_reset` says. Topics may
        come into being later. Returns at once; what the coordinator refuses is raised by `poll`.

        The listeners are called with a sorted list of partitions, in the thread that polls or iterates, from within
        that. They may commit and seek, not poll. What they raise is raised there, too, and the rebalance goes on.

        Args:
            topics: a name or several.
            pattern: a regular expression (RE2); topics whose whole name matches are read, too.
            on_assigned: partitions are new; nothing of them has been handed out yet.
            on_revoked: partitions are to be given up, to others or on leaving; the group waits for the end of this
                call, and what is committed in it counts. Positions have been committed already if that is automatic.
            on_lost: partitions are somebody else's already; nothing can be committed. By default `on_revoked`.

        Raises:
            ValueError: the consumer has no group id, or there is nothing to subscribe to.
            RuntimeError: partitions are assigned by `assign`.
        """
        subscription = make_subscription(topics, pattern)
        BACKGROUND.run(self._core.subscribe(subscription, Listener(on_assigned, on_revoked, on_lost)))

    def unsubscribe(self) -> None:
        """Gives up all partitions, as `close` does, and leaves the group; `subscribe` joins it again."""
        if self._core.grouped().is_subscribed:
            self._leave(commit=True, is_back=True, timeout_s=None, leave=True)

    def subscription(self) -> Subscription | None:
        """Returns what the consumer is subscribed to, None for nothing."""
        return self._core.grouped().subscription

    def group_metadata(self) -> GroupMetadata:
        """Returns who this consumer is in its group."""
        return self._core.grouped().metadata()

    def commit(self, offsets: OffsetsToCommit | None = None) -> None:
        """Stores how far the group is, and returns when that is durable.

        Args:
            offsets: partition -> offset of the next record to work on, or that with a text and a leader epoch. By
                default the positions: everything that was handed out counts as done.

        Raises:
            CommitFailed: some are not stored, e.g. because their partitions have been lost; it names them.
            ValueError: the consumer has no group id, or an offset is negative.
        """
        wanted = None if offsets is None else offsets_to_commit(offsets)
        BACKGROUND.run(self._core.commit(wanted))

    def commit_async(self, offsets: OffsetsToCommit | None = None, on_done: OnCommit | None = None) -> None:
        """Commits as `commit` does, without waiting. The order of commits is kept, whatever fails in between.

        Args:
            on_done: called with the offsets and the CommitFailed, None if all are stored, from within a later poll,
                iteration or `close`. Without it a failure is logged.

        Raises:
            ValueError: the consumer has no group id, or an offset is negative.
        """
        group = self._core.grouped()
        if self._is_closed:
            raise_closed()
        wanted = group.changed_positions() if offsets is None else offsets_to_commit(offsets)
        BACKGROUND.loop.call_soon_threadsafe(group.commit_async, wanted, on_done)

    def committed(self, *partitions: PartitionLike) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """Returns what the group has committed for these partitions, those assigned without any named; None for
        nothing.

        Raises:
            ValueError: the consumer has no group id.
            LogServerError: the coordinator refused, or was not there in time.
        """
        return BACKGROUND.run(self._core.committed(partitions or self._core.assignment()))

    def _come_back(self, group: Group) -> None:
        """The user wants more: they are done with what they have."""
        group.hand.empty()
        self._user_thread = threading.current_thread()

    def _visit(self) -> None:
        """Does what the group wants of the user."""
        if self._is_calling:
            raise RuntimeError("a rebalance listener can't poll or iterate")
        call = BACKGROUND.run(self._core.visit())
        while call is not None:
            self._is_calling = True
            try:
                call.run()
            except BaseException:
                BACKGROUND.run(self._core.ended(call))
                raise
            finally:
                self._is_calling = False
            call = BACKGROUND.run(self._core.visit(call))

    def _is_user(self) -> bool:
        """True unless another thread is at work with what was handed out."""
        thread = self._user_thread
        return thread is None or thread is threading.current_thread() or not thread.is_alive()

    def _leave(self, *, commit: bool, is_back: bool, timeout_s: float | None, leave: bool | None) -> None:
        BACKGROUND.run(self._core.begin_leave(commit=commit, is_back=is_back))
        try:
            if not self._is_calling:
                self._visit()
        finally:
            BACKGROUND.run(self._core.finish_leave(timeout_s, leave))
        if not self._is_calling:
            self._visit()
