"""What doors ask about members of share groups, over all shards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

from logserver_segments.logs import get_logger

from logserver.coordinator.shard_runtime import ShardRuntime
from logserver.coordinator.share.requests import Initialization, ShareHeartbeat, ShareHeartbeatAnswer
from logserver.coordinator.share.state import ShareState
from logserver.errors import LogServerError

_log: Final = get_logger("logserver.coordinator")


class ShareGroupCoordinator:
    """Share groups of this node.

    Args:
        shard: returns the shard of a group that may be new.
        state: keeps what was delivered.
    """

    def __init__(self, shard: Callable[[str], Awaitable[ShardRuntime]], state: ShareState) -> None:
        self._shard = shard
        self._state = state
        # As long as somebody has or waits for it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def heartbeat(self, request: ShareHeartbeat) -> ShareHeartbeatAnswer:
        """Takes a member's heartbeat, which may join or leave; see `ShareGroups.heartbeat`.

        The state of partitions that are new to the group is made before the answer, so that they are in it: Apache
        Kafka answers first, and assigns them at the next heartbeat.

        Raises:
            LogServerError: the member can't be one (any more), or its coordinator is not here.
        """
        shard = await self._shard(request.group_id)
        answer = await shard.decide(request.group_id, lambda state, now_ms: state.share_heartbeat(request, now_ms))
        if answer.initialization is None or not await self._initialize(shard, answer.initialization):
            return answer
        again = request._replace(member_epoch=answer.member_epoch, topics=None)
        later = await shard.decide(request.group_id, lambda state, now_ms: state.share_heartbeat(again, now_ms))
        return later if later.assigned is not None else later._replace(assigned=answer.assigned)

    async def _initialize(self, shard: ShardRuntime, initialization: Initialization) -> bool:
        """Has the state of partitions made; returns whether it is there."""
        group_id, state_epoch, partitions = initialization
        async with self.turn(group_id):
            try:
                await self._state.initialize(group_id, state_epoch, partitions)
            except LogServerError as error:
                _log.warning("share group waits for the state of partitions", group=group_id, reason=error.message)
                await shard.decide(group_id, lambda state, _: state.share.not_initialized(group_id, partitions))
                return False
            await shard.decide(group_id, lambda state, _: state.share.initialized(group_id, partitions))
            return True

    async def delete(self, shard: ShardRuntime, group_id: str) -> None:
        """Forgets a group without members, and what was delivered to it.

        Raises:
            LogServerError: NON_EMPTY_GROUP, also if somebody joins meanwhile; or the coordinator is not here.
        """
        async with self.turn(group_id):
            partitions = await shard.decide(
                group_id, lambda state, now_ms: state.begin_share_deletion(group_id, now_ms)
            )
            if partitions:
                await self._state.delete(group_id, partitions)
            await shard.decide(group_id, lambda state, now_ms: state.delete_group(group_id, now_ms))

    def turn(self, group_id: str) -> asyncio.Lock:
        """Returns what keeps state from being made and taken back at the same time."""
        return self._turns.setdefault(group_id, asyncio.Lock())
