"""A consumer's commits: what has changed, where it goes, and what is known to be stored."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from logserver_client._group.commits import Commit, CommitQueue
from logserver_client.errors import LogServerError
from logserver_client.types import OffsetAndMetadata, TopicPartition

_log = logging.getLogger("logserver_client")

Offsets = Mapping[TopicPartition, OffsetAndMetadata]


class Committer:
    """Puts commits into a queue, and remembers what they have stored."""

    def __init__(self, group_id: str, timeout_s: float, clock: Callable[[], float]) -> None:
        self._group_id = group_id
        self._timeout_s = timeout_s
        self._clock = clock
        self._stored: dict[TopicPartition, int] = {}
        self._auto: Commit | None = None

    def changed(self, positions: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, OffsetAndMetadata]:
        """Returns the positions that are known and aren't those that are stored."""
        stored = self._stored.get
        return {
            tp: OffsetAndMetadata(position)
            for tp, position in positions.items()
            if position is not None and position != stored(tp)
        }

    def note_stored(self, offsets: Mapping[TopicPartition, OffsetAndMetadata | None]) -> None:
        """These are stored, as the coordinator says; None where nothing is."""
        for tp, committed in offsets.items():
            if committed is None:
                self._stored.pop(tp, None)
            else:
                self._stored[tp] = committed.offset

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Others may commit for these from now on."""
        for tp in partitions:
            self._stored.pop(tp, None)

    def add(
        self,
        queue: CommitQueue,
        offsets: Offsets,
        refused: Mapping[TopicPartition, LogServerError],
        ended: Callable[[Commit], None],
    ) -> Commit:
        """Commits offsets.

        Args:
            refused: partitions that can't be committed, and why.
            ended: called when all have a result, perhaps at once.
        """

        def finish(commit: Commit) -> None:
            self.note_stored(commit.done)
            ended(commit)

        commit = Commit({tp: offsets[tp] for tp in offsets if tp not in refused}, self._deadline_s(), finish)
        commit.errors.update(refused)
        if commit.offsets:
            queue.add(commit)
        else:
            finish(commit)
        return commit

    async def run(
        self,
        queue: CommitQueue,
        offsets: Offsets,
        refused: Mapping[TopicPartition, LogServerError],
        wake: Callable[[], None],
    ) -> Commit:
        """Commits offsets and returns when all have a result."""
        done: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
        self.add(queue, offsets, refused, lambda commit: None if done.done() else done.set_result(commit))
        wake()
        return await done

    def add_auto(self, queue: CommitQueue, offsets: Offsets, *, is_last: bool = False) -> None:
        """Commits positions by itself; what fails is logged, and goes with the next one.

        Args:
            is_last: also if the one before has no answer yet.
        """
        if offsets and (is_last or self._auto is None):
            commit = self.add(queue, offsets, {}, self._auto_ended)
            if commit.offsets:
                self._auto = commit

    def _auto_ended(self, commit: Commit) -> None:
        if self._auto is commit:
            self._auto = None
        for tp, error in commit.errors.items():
            _log.warning("auto-commit failed group=%s partition=%s error=%s", self._group_id, tp, error)

    def _deadline_s(self) -> float:
        return self._clock() + self._timeout_s
