"""Fetch: ranges, limits, ids and epochs, and incremental sessions (KIP-227)."""

from typing import Any

from ..batches import batch
from ..keys import Key
from ..session import Answer, Session
from .asking import fetch, fetch_message, produce_message, stored

_NOBODYS = "AAAAAAAAAAAAAAAAAAAAZw"


def fetching(s: Session) -> None:
    """Single fetches."""
    topic_id = s.topic("fetching", 2)
    at = s.base_ms
    stored(s, "fetching", batch("a", "b", at_ms=at), batch("c", "d", at_ms=at + 10), batch("e" * 5000, at_ms=at + 20))
    stored(s, "fetching", batch("f", at_ms=at), partition=1)
    for version in range(4, 19):
        fetch(s, f"version {version}", topic_id if version >= 13 else "fetching", version=version)
    for offset in (1, 2, 4, 5, 6, 99, -1, -5):
        fetch(s, f"from {offset}", "fetching", offset)
    for most in (0, 1, 70, 100, 200, 5000):
        fetch(s, f"at most {most} of a partition", "fetching", partition_max=most)
        fetch(s, f"at most {most}", "fetching", max_bytes=most)
    fetch(s, "a negative most", "fetching", max_bytes=-1)
    fetch(s, "a negative most of a partition", "fetching", partition_max=-1)
    fetch(s, "at least more than there is", "fetching", min_bytes=1_000_000, max_wait_ms=50)
    fetch(s, "a negative wait", "fetching", 5, max_wait_ms=-1)
    fetch(s, "at least nothing", "fetching", 5, min_bytes=0, max_wait_ms=20_000)
    fetch(s, "an unknown topic", "fetching-no")
    fetch(s, "an unknown partition", "fetching", partition=7)
    fetch(s, "an unknown id", _NOBODYS, version=13)
    fetch(s, "no id", "A" * 22, version=17)
    fetch(s, "an isolated reader", "fetching", isolation_level=1)
    fetch(s, "a level that there is none of", "fetching", isolation_level=5)
    for epoch in (0, 1, 99, -1):
        fetch(s, f"leader epoch {epoch}", "fetching", current_leader_epoch=epoch)
    for epoch in (0, 5):
        fetch(s, f"last fetched epoch {epoch}", "fetching", 2, last_fetched_epoch=epoch)
    fetch(s, "a rack", "fetching", rack_id="r1")
    fetch(s, "a follower", "fetching", replica_id=5)
    fetch(s, "a follower of version 15", topic_id, version=15, replica_state={"replica_id": 5, "replica_epoch": 1})
    s.ask("no topics", Key.FETCH, 12, {"max_wait_ms": 0, "session_epoch": -1})
    _both(s, 10_000_000)
    _both(s, 100)
    _both(s, 1)
    waiting = s.begin(Key.FETCH, 12, fetch_message("fetching", 5, min_bytes=1, max_wait_ms=15_000))
    s.quiet(Key.PRODUCE, 12, produce_message("fetching", batch("g", at_ms=at + 30)))
    waiting.answer("waits for a record")


def _both(s: Session, most: int) -> None:
    asked = [{"partition": index, "fetch_offset": 0, "partition_max_bytes": 1_000_000} for index in (1, 0)]
    topics = [{"topic": "fetching", "partitions": asked}]
    message = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": most, "session_epoch": -1, "topics": topics}
    s.ask(f"two partitions, at most {most}", Key.FETCH, 12, message)


def fetch_sessions(s: Session) -> None:
    """What a session remembers."""
    topic_id = s.topic("sessions", 2)
    other_id = s.topic("sessions-2")
    stored(s, "sessions", batch("a", at_ms=s.base_ms))

    def ask(label: str, session: int, epoch: int, *asked: tuple[int, int], version: int = 12, **more: Any) -> Answer:
        parts = [{"partition": index, "fetch_offset": offset, "partition_max_bytes": 1000} for index, offset in asked]
        topics = [{"topic": "sessions", "topic_id": topic_id, "partitions": parts}] if parts else []
        message = {"max_wait_ms": 0, "min_bytes": 0, "session_id": session, "session_epoch": epoch, "topics": topics}
        return s.ask(label, Key.FETCH, version, message | more)

    for version in (7, 12, 13, 18):
        name = f"({version})"
        own = ask(f"a new session {name}", 0, 0, (0, 0), (1, 0), version=version)["session_id"]
        ask(f"nothing new {name}", own, 1, (0, 1), version=version)
        ask(f"nothing said {name}", own, 2, version=version)
        stored(s, "sessions", batch("b", at_ms=s.base_ms), partition=1)
        ask(f"something new {name}", own, 3, version=version)
        ask(f"the same epoch {name}", own, 3, version=version)
        ask(f"an epoch left out {name}", own, 9, version=version)
        forgotten = [{"topic": "sessions", "topic_id": topic_id, "partitions": [1]}]
        ask(f"without partition 1 {name}", own, 4, version=version, forgotten_topics_data=forgotten)
        ask(f"an unknown partition {name}", own, 5, (9, 0), version=version)
        ask(f"out of range {name}", own, 6, (0, 99), version=version)
        ask(f"the end {name}", own, -1, version=version)
        ask(f"behind the end {name}", own, 7, version=version)
    ask("nobody's session", 12345, 1)
    ask("nobody's session at its beginning", 12345, 0, (0, 0))
    ask("the end of nobody's session", 12345, -1, (0, 0))
    ask("no session, epoch 1", 0, 1, (0, 0))
    own = ask("one with names", 0, 0, (0, 0))["session_id"]
    ask("that goes on with ids", own, 1, version=13)
    topics = [{"topic_id": other_id, "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 100}]}]
    own = ask("one with an id to go", 0, 0, version=13, topics=topics)["session_id"]
    s.quiet(Key.DELETE_TOPICS, 5, {"topic_names": ["sessions-2"], "timeout_ms": 20_000})
    s.settle(
        "a topic that is deleted",
        Key.METADATA,
        12,
        {"topics": [{"name": "sessions-2"}], "allow_auto_topic_creation": False},
        lambda answer: answer["topics"][0]["error_code"] != "NONE",
    )
    ask("its session", own, 1, version=13)
