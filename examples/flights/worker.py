"""One worker of a group, a process of its own: `python -m examples.flights.worker ADDRESS TOPIC GROUP NAME JOURNAL`.

It says `ready` and waits for a line before it joins, so that all workers of a team begin together. It commits by hand,
behind what it has written to its journal; so its journal tells exactly what another worker would do again.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Final

from logserver_client import BytesRecord, CommitFailed, Consumer, TopicPartition

from .journal import JournalWriter

POLL_S: Final = 0.2
POLL_RECORDS: Final = 500
COMMIT_RECORDS: Final = 5_000
"""A commit is due after so many records, and when there are no more for the moment."""

WORK_S: Final = 0.015
"""What the work on a batch takes beside writing it down: long enough for a kill to find everybody in the middle."""


class Worker:
    """Works on the records of whatever partitions the group gives it, until it is told to stop."""

    def __init__(self, consumer: Consumer[bytes, bytes], journal: JournalWriter) -> None:
        self._consumer = consumer
        self._journal = journal
        self._done: dict[TopicPartition, int] = {}
        """Behind the last record of each partition, where that is not committed yet."""

        self._uncommitted = 0
        self._is_stopping = False

    def stop(self, number: int, frame: object) -> None:
        """Handles a signal: what is at hand is finished."""
        self._is_stopping = True

    def run(self, topic: str) -> None:
        """Joins the group, works, commits, and gives up its partitions."""
        self._consumer.subscribe(topic, on_assigned=self._assigned, on_revoked=self._revoked, on_lost=self._lost)
        while not self._is_stopping:
            records = self._consumer.poll(POLL_S, POLL_RECORDS)
            self._work(records)
            if self._uncommitted >= COMMIT_RECORDS or not records:
                self._commit(list(self._done))
        # Leaves, which calls `_revoked`.
        self._consumer.unsubscribe()

    def _work(self, records: list[BytesRecord]) -> None:
        if records:
            time.sleep(WORK_S)
        self._journal.worked_on(records)
        for record in records:
            self._done[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self._uncommitted += len(records)

    def _commit(self, partitions: list[TopicPartition]) -> None:
        offsets = {tp: self._done.pop(tp) for tp in partitions if tp in self._done}
        self._uncommitted = self._uncommitted if self._done else 0
        if not offsets:
            return
        refused: set[TopicPartition] = set()
        try:
            self._consumer.commit(offsets)
        except CommitFailed as error:
            # Either these partitions are lost, which the next poll says, or the server was away for long.
            print(error, file=sys.stderr)
            refused.update(error.errors)
            self._done.update((tp, offsets[tp]) for tp in refused)
        self._journal.committed({tp.partition: offset for tp, offset in offsets.items() if tp not in refused})

    def _assigned(self, partitions: list[TopicPartition]) -> None:
        self._journal.took(tp.partition for tp in partitions)

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        self._commit(partitions)
        self._forget(partitions)
        self._journal.gave_up(tp.partition for tp in partitions)

    def _lost(self, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)
        self._journal.lost(tp.partition for tp in partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for tp in partitions:
            self._done.pop(tp, None)


def main(address: str, topic: str, group: str, name: str, path: str) -> int:
    """Runs a worker until SIGTERM; returns the exit code."""
    with Consumer(address, group_id=group, client_id=name, auto_commit=False, auto_offset_reset="earliest") as consumer:
        journal = JournalWriter(Path(path))
        worker = Worker(consumer, journal)
        signal.signal(signal.SIGTERM, worker.stop)
        print("ready", flush=True)
        if sys.stdin.readline():
            worker.run(topic)
        journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
