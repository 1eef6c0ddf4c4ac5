"""Which partitions a member owns, and how it comes from there to what it is assigned."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from logserver_client.types import TopicPartition


class Turn(NamedTuple):
    """What there is to do when the user has come back."""

    resumed: list[TopicPartition]
    """Were to be given up, and are assigned again before anything had happened."""
    revoked: list[TopicPartition]
    """Are given up now; `give_up` ends it."""
    outdated: set[TopicPartition]
    """Those of the revoked whose topic is another one now: its name has been given again."""


class Ownership:
    """Partitions on their way in and out, without I/O.

    A partition that is assigned becomes held by `take`. One that isn't assigned any more is stopped at once (nothing
    more is fetched or handed out), leaves once the user has come back from its records (`turn`), and is given up when
    its offsets are committed and the listener has been told (`give_up`). Only then may the coordinator hear of it.
    """

    def __init__(self) -> None:
        self.target: frozenset[TopicPartition] = frozenset()
        """What may be owned."""
        self.held: set[TopicPartition] = set()
        """What is owned."""
        self.stopped: set[TopicPartition] = set()
        """Of these nothing more is handed out."""
        self.leaving: set[TopicPartition] = set()
        """Their revocation has begun; it is carried through even if they are assigned again."""
        self.outdated: set[TopicPartition] = set()
        """Of a topic that was deleted and created anew: they are given up before they are taken again."""

    @property
    def wanted(self) -> set[TopicPartition]:
        """Assigned and not held."""
        return set(self.target) - self.held

    @property
    def is_released(self) -> bool:
        """Nothing is held beyond what is assigned."""
        return self.held <= self.target

    @property
    def is_turn_needed(self) -> bool:
        """Partitions are stopped and wait for the user."""
        return self.stopped != self.leaving

    def assign(
        self, partitions: Iterable[TopicPartition], outdated_topics: Collection[str] = ()
    ) -> list[TopicPartition]:
        """Takes in what may be owned from now on; returns the partitions to stop.

        Args:
            outdated_topics: names that stand for another topic than before.
        """
        self.target = frozenset(partitions)
        self.outdated.update(tp for tp in self.held if tp.topic in outdated_topics)
        stopped = sorted((self.held - self.target | self.outdated) - self.stopped)
        self.stopped.update(stopped)
        self.check()
        return stopped

    def stop_all(self) -> list[TopicPartition]:
        """Returns the partitions to stop because all are lost or left."""
        self.target = frozenset()
        stopped = sorted(self.held - self.stopped)
        self.stopped.update(stopped)
        self.check()
        return stopped

    def turn(self) -> Turn:
        """The user has come back: revocations begin."""
        waiting = sorted(self.stopped - self.leaving)
        resumed = [tp for tp in waiting if tp in self.target and tp not in self.outdated]
        revoked = [tp for tp in waiting if tp not in self.target or tp in self.outdated]
        turn = Turn(resumed, revoked, self.outdated.intersection(revoked))
        self.stopped.difference_update(turn.resumed)
        self.leaving.update(turn.revoked)
        self.check()
        return turn

    def take(self, partitions: Iterable[TopicPartition]) -> None:
        """These are held from now on."""
        taken = set(partitions)
        assert taken <= self.wanted, taken - self.wanted
        self.held |= taken
        self.check()

    def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """The revocation of these is done."""
        given_up = set(partitions)
        assert given_up <= self.leaving, given_up - self.leaving
        self.held -= given_up
        self.stopped -= given_up
        self.leaving -= given_up
        self.outdated -= given_up
        self.check()

    def lose(self) -> list[TopicPartition]:
        """Everything is lost; returns what was held, without what was leaving: its user has been told already."""
        lost = sorted(self.held - self.leaving)
        self.target = frozenset()
        self.held.clear()
        self.stopped.clear()
        self.leaving.clear()
        self.outdated.clear()
        return lost

    def check(self) -> None:
        """Asserts what holds between any two calls."""
        assert self.leaving <= self.stopped <= self.held
        assert self.outdated <= self.stopped
        assert self.held - self.target <= self.stopped, "what isn't assigned is not handed out"
