"""`logserver consume --group`: a member of a group commits what it has printed, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import click

from logserver.cli.failures import CommandFailed, sentence
from logserver.cli.positions import Place
from logserver.cli.printed import Printed
from logserver.cli.reading import names_of
from logserver.cli.records_out import RecordWriter
from logserver.cli.starts import check_reached, starts_of
from logserver.cli.stopping import StopSignals

if TYPE_CHECKING:
    from logserver_client import CommitFailed, Consumer, OffsetAndMetadata, TopicPartition
    from logserver_client._consume.config import IsolationLevel

_MOST_A_POLL: Final = 500
"""Whole polls are printed and then committed, so a slow reader of standard output keeps a signal waiting no longer."""

_LOOK_EVERY_S: Final = 0.2
"""How soon a signal is seen while nothing comes."""

_COMMIT_EVERY_S: Final = 0.5
"""What was printed since then is printed again if this process is killed."""

_OTHERS_EVERY_S: Final = 0.5
"""How often to ask how far the other members are, where only their partitions are missing."""

_LEAVE_WITHIN_S: Final = 5.0
"""For the last commit and for leaving after a signal; service managers kill after ten seconds or more."""

T = TypeVar("T")


class _Stopped(Exception):
    """A signal has come while a call was made again and again."""


def consume_as_member(
    writer: RecordWriter,
    server: str,
    topic: str,
    group: str,
    start: Place,
    most: int | None = None,
    *,
    exit_at_end: bool = False,
    isolation: IsolationLevel = "read_uncommitted",
) -> None:
    """Writes records of the partitions that this member of the group owns, until a signal comes.

    Args:
        start: where to begin in partitions of which the group has committed nothing.
        most: stop after so many records.
        exit_at_end: stop when the group has come to the ends that the partitions have now.

    Raises:
        CommandFailed: what was printed could not be committed, or there is nothing to start from.
        KeyboardInterrupt: a signal has come; after the first one everything is left in order.
    """
    from logserver_client import Consumer

    with StopSignals() as stop:
        consumer = Consumer(
            server,
            group_id=group,
            auto_commit=False,
            # Retention may overtake a slow group; it then goes on with what is left.
            auto_offset_reset="earliest",
            client_id=f"logserver-consume-{os.getpid()}",
            isolation_level=isolation,
        )
        try:
            partitions = stop.waiting(consumer.partitions_for, topic)
            committed = stop.waiting(consumer.committed, *partitions)
            if not any(committed.values()):
                stop.waiting(check_reached, consumer, partitions, start)
            ends = stop.waiting(GroupEnds, consumer, partitions) if exit_at_end else None
            if most != 0:
                Member(consumer, writer, topic, start, most, ends, stop).run()
        finally:
            # For what failed before there was a member; that closes by itself.
            consumer.close(timeout=_LEAVE_WITHIN_S)
        stop.check()


class GroupEnds:
    """The ends that the partitions of a topic have at the start, and how far other members are in theirs."""

    def __init__(self, consumer: Consumer[bytes, bytes], partitions: Sequence[TopicPartition]) -> None:
        firsts = consumer.beginning_offsets(partitions)
        self.offsets = consumer.end_offsets(partitions)
        self._consumer = consumer
        # Of a partition without records nobody may ever commit anything.
        self._done = {tp for tp in partitions if self.offsets[tp] <= firsts[tp]}
        self._next_look_s = 0.0

    def are_reached_elsewhere(self, owned: Mapping[TopicPartition, int], now_s: float) -> bool:
        """True if the group has committed the ends of all partitions that aren't owned here."""
        missing = [tp for tp in self.offsets if tp not in owned and tp not in self._done]
        if missing and now_s >= self._next_look_s:
            self._next_look_s = now_s + _OTHERS_EVERY_S
            found = self._consumer.committed(*missing)
            self._done.update(tp for tp, at in found.items() if at is not None and at.offset >= self.offsets[tp])
        return self._done.issuperset(missing)


class Member:
    """One member of a group that prints."""

    def __init__(
        self,
        consumer: Consumer[bytes, bytes],
        writer: RecordWriter,
        topic: str,
        start: Place,
        most: int | None,
        ends: GroupEnds | None,
        stop: StopSignals,
    ) -> None:
        self._consumer = consumer
        self._writer = writer
        self._topic = topic
        self._start = start
        self._most = most
        self._ends = ends
        self._stop = stop
        self._printed = Printed(None if ends is None else ends.offsets)
        self._is_committing = False
        self._commits = 0
        self._is_ending = False
        self._next_commit_s = 0.0

    def run(self) -> None:
        """Joins the group, prints until the end or a signal, commits and leaves."""
        try:
            self._consumer.subscribe(
                self._topic, on_assigned=self._assigned, on_revoked=self._revoked, on_lost=self._lost
            )
            self._print()
            self._commit_all()
        except _Stopped:
            self._leave()
        except KeyboardInterrupt:
            # The second signal: nothing is waited for any more.
            self._is_ending = True
            self._consumer.close(commit=False, timeout=0)
            raise
        except BaseException:
            # Standard output is closed or full, a partition can't be read: what was printed before that stays printed.
            self._leave()
            raise
        else:
            self._leave()

    def _print(self) -> None:
        while not self._stop.asked and (self._most is None or self._writer.records < self._most):
            most = _MOST_A_POLL if self._most is None else min(self._most - self._writer.records, _MOST_A_POLL)
            records = self._consumer.poll(_LOOK_EVERY_S, most)
            if records:
                self._writer.write(self._printed.wanted(records))
                self._writer.flush()
                self._printed.printed(records)
            now_s = time.monotonic()
            if not records or now_s >= self._next_commit_s:
                self._follow()
            if self._is_at_end(now_s):
                return
            self._commit_if_due(now_s)

    def _follow(self) -> None:
        """Moves the positions over what no user gets to see, e.g. control batches."""
        for tp in self._printed.positions.keys() & self._consumer.assignment():
            self._printed.moved(tp, self._consumer.position(tp))
        self._rest()

    def _rest(self) -> None:
        """Asks for no more of partitions that have come to their ends."""
        self._consumer.pause(*(set(self._printed.finished) & self._consumer.assignment()))

    def _is_at_end(self, now_s: float) -> bool:
        ends, printed = self._ends, self._printed
        if ends is None or not printed.are_all_finished:
            return False
        # Others that end at the same ends wait for these.
        self._next_commit_s = now_s if printed.changed() else self._next_commit_s
        return self._insist(lambda: ends.are_reached_elsewhere(printed.positions, now_s))

    # Partitions that come and go.

    def _assigned(self, partitions: list[TopicPartition]) -> None:
        committed = self._insist(lambda: self._consumer.committed(*partitions))
        new = [tp for tp in partitions if committed[tp] is None]
        starts = self._insist(lambda: starts_of(self._consumer, new, self._start)) if new else {}
        first = self._start.number if self._start.kind == "offset" else 0
        for tp in partitions:
            if tp in starts:
                self._consumer.seek(tp, starts[tp])
                self._printed.take(tp, starts[tp], None, first)
            else:
                position = self._consumer.position(tp)
                self._printed.take(tp, position, position)
        self._rest()

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        if self._is_ending:
            return
        changed = self._printed.changed()
        unsaved = self._printed.unsaved(partitions)
        last = {tp: changed[tp] for tp in partitions if tp in changed}
        self._printed.drop(partitions)

        def ended(_offsets: Mapping[TopicPartition, OffsetAndMetadata], error: CommitFailed | None) -> None:
            if error is not None:
                _note_unsaved([tp for tp in unsaved if tp in error.errors])

        if last:
            # The partitions are given up only when this has an answer.
            self._consumer.commit_async(last, ended)

    def _lost(self, partitions: list[TopicPartition]) -> None:
        _note_unsaved(self._printed.unsaved(partitions))
        self._printed.drop(partitions)

    # Commits.

    def _commit_if_due(self, now_s: float) -> None:
        if now_s >= self._next_commit_s and not self._is_committing:
            self._next_commit_s = now_s + _COMMIT_EVERY_S
            self._commit()

    def _commit(self) -> None:
        if changed := self._printed.changed():
            self._is_committing = True
            self._commits += 1
            self._consumer.commit_async(changed, partial(self._committed, self._commits))

    def _committed(
        self, number: int, offsets: Mapping[TopicPartition, OffsetAndMetadata], error: CommitFailed | None
    ) -> None:
        if number < self._commits:
            # The word of an older one comes late: a newer one has stored more, or tells about it.
            return
        # What failed still counts as changed, and goes with the next one; the last one tells about it.
        self._is_committing = False
        failed = {} if error is None else error.errors
        self._printed.committed({tp: at.offset for tp, at in offsets.items() if tp not in failed})

    def _commit_all(self) -> None:
        """Commits everything that was printed, however long the server is away; a signal ends the waiting."""
        from logserver_client import CommitFailed

        while not self._stop.asked and (changed := self._printed.changed()):
            self._commits += 1
            try:
                self._consumer.commit(changed)
            except CommitFailed as error:
                self._printed.committed({tp: at for tp, at in changed.items() if tp not in error.errors})
                if not all(map(_may_pass, error.errors.values())):
                    raise CommandFailed(f"What was printed is not all committed: {sentence(error.message)}") from error
            else:
                self._printed.committed(changed)

    def _leave(self) -> None:
        self._is_ending = True
        self._commit()
        self._consumer.close(timeout=_LEAVE_WITHIN_S)
        _note_unsaved(self._printed.unsaved(self._printed.positions))

    def _insist(self, function: Callable[[], T]) -> T:
        """Makes a call until the server is there."""
        from logserver_client import LogServerError

        while True:
            try:
                return function()
            except LogServerError as error:
                if not _may_pass(error):
                    raise
                if self._stop.asked:
                    raise _Stopped from error


def _may_pass(error: Exception) -> bool:
    """True if the server is away, or starting."""
    from logserver_client import ConnectionFailed, CoordinatorNotAvailable, RequestTimedOut

    return isinstance(error, ConnectionFailed | CoordinatorNotAvailable | RequestTimedOut)


def _note_unsaved(partitions: Sequence[TopicPartition]) -> None:
    if partitions:
        click.echo(
            f"The last records of {names_of(sorted(partitions))} could not be committed and will come again.", err=True
        )
