"""What the asyncio consumer can do in a group."""

import asyncio
import inspect
from collections.abc import Iterable
from typing import Any

from logserver_client._consume.core import ConsumerCore, raise_closed
from logserver_client._group.group import Group
from logserver_client._group.offsets import OffsetsToCommit, offsets_to_commit
from logserver_client._group.subscription import Call, Listener, OnCommit, OnPartitions, make_subscription
from logserver_client.types import GroupMetadata, OffsetAndMetadata, PartitionLike, Subscription, TopicPartition


class GroupConsumer:
    """The part of `aio.Consumer` that needs a group id; see the synchronous one."""

    _core: ConsumerCore
    _group: Group | None
    _is_calling = False
    _user_task: "asyncio.Task[Any] | None" = None
    """The task that was last here for records."""

    async def subscribe(
        self,
        topics: str | Iterable[str] = (),
        *,
        pattern: str | None = None,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
        on_lost: OnPartitions | None = None,
    ) -> None:
        """Becomes a member of the group; see the synchronous `subscribe`. Listeners may be coroutine functions."""
        subscription = make_subscription(topics, pattern)
        await self._core.subscribe(subscription, Listener(on_assigned, on_revoked, on_lost))

    async def unsubscribe(self) -> None:
        """Gives up all partitions, as `close` does, and leaves the group; `subscribe` joins it again."""
        if self._core.grouped().is_subscribed:
            await self._leave(commit=True, is_back=True, timeout_s=None, leave=True)

    def subscription(self) -> Subscription | None:
        """Returns what the consumer is subscribed to, None for nothing."""
        return self._core.grouped().subscription

    def group_metadata(self) -> GroupMetadata:
        """Returns who this consumer is in its group."""
        return self._core.grouped().metadata()

    async def commit(self, offsets: OffsetsToCommit | None = None) -> None:
        """Stores how far the group is, and returns when that is durable; see the synchronous `commit`."""
        await self._core.commit(None if offsets is None else offsets_to_commit(offsets))

    def commit_async(self, offsets: OffsetsToCommit | None = None, on_done: OnCommit | None = None) -> None:
        """Commits without waiting; see the synchronous `commit_async`. `on_done` may be a coroutine function."""
        group = self._core.grouped()
        if self._core.is_closed or not self._core.is_open:
            raise_closed()
        group.commit_async(group.changed_positions() if offsets is None else offsets_to_commit(offsets), on_done)

    async def committed(self, *partitions: PartitionLike) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """Returns what the group has committed for these partitions, those assigned without any named; None for
        nothing.
        """
        return await self._core.committed(partitions or self._core.assignment())

    def _come_back(self, group: Group) -> None:
        """The user wants more: they are done with what they have."""
        group.hand.empty()
        self._user_task = asyncio.current_task()

    async def _visit(self, group: Group) -> None:
        """Does what the group wants of the user."""
        if self._is_calling:
            raise RuntimeError("a rebalance listener can't poll or iterate")
        call = group.visit()
        while call is not None:
            await self._run_call(group, call)
            call = group.visit(call)

    async def _run_call(self, group: Group, call: Call) -> None:
        self._is_calling = True
        try:
            result = call.run()
            if inspect.isawaitable(result):
                await result
        except BaseException:
            group.ended(call)
            raise
        finally:
            self._is_calling = False

    def _is_user(self) -> bool:
        """True unless another task is at work with what was handed out."""
        task = self._user_task
        return task is None or task is asyncio.current_task() or task.done()

    async def _leave(self, *, commit: bool, is_back: bool, timeout_s: float | None, leave: bool | None) -> None:
        group = self._group
        if group is None or not self._core.is_open:
            return
        await group.begin_leave(commit=commit, is_back=is_back)
        try:
            if not self._is_calling:
                await self._visit(group)
        finally:
            await group.finish_leave(timeout_s, leave=leave)
        if not self._is_calling:
            await self._visit(group)
