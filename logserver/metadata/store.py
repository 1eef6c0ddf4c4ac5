"""The contract of the metadata store; etcd's, so that etcd can take its place.

Keys and values are bytes. Every transaction that changes something has a revision; revisions only rise. `get` and
`range` read the local image; changes are asynchronous and visible to everybody, the caller included, through `watch`.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

MAX_OPERATIONS: Final = 128
"""Operations in one transaction, and compares, at most (etcd's default)."""

MAX_TXN_BYTES: Final = 1 << 20
"""Bytes of keys and values in one transaction, those of its compares included, at most."""


class StoreUnavailable(Exception):
    """The store can't be changed now; whether the change was made is unknown."""


class TooLarge(ValueError):
    """A transaction of more operations or bytes than allowed."""


class Compacted(Exception):
    """A watch asked for changes that are no longer kept; read the image and watch from its revision on."""


class LeaseExpired(Exception):
    """The lease is gone, and with it its keys."""


class KeyValue(NamedTuple):
    """A key with its value and the revisions that made and last changed it; lease 0 is none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


class Event(NamedTuple):
    """A change of one key; value None means deleted."""

    key: bytes
    value: bytes | None
    revision: int


class Compare(NamedTuple):
    """A condition of a transaction: the key's `mod_revision` (0: absent), or its value, must be the one given."""

    key: bytes
    mod_revision: int | None = None
    value: bytes | None = None

    def holds(self, found: KeyValue | None) -> bool:
        """Whether the key as found meets the condition."""
        if self.mod_revision is not None and (found.mod_revision if found else 0) != self.mod_revision:
            return False
        return self.value is None or (found is not None and found.value == self.value)


class Put(NamedTuple):
    """Sets a key; with a lease it goes when the lease does."""

    key: bytes
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    """Deletes a key, if it is there."""

    key: bytes


Operation = Put | Delete


class TxnResult(NamedTuple):
    """Whether the compares held and the operations were done, and the store's revision then."""

    succeeded: bool
    revision: int


class Lease(Protocol):
    """A claim that lasts as long as it is kept alive."""

    @property
    def id(self) -> int:
        """Greater than 0."""
        ...

    async def keep_alive(self) -> None:
        """Starts the time to live again.

        Raises:
            LeaseExpired: too late.
        """
        ...

    async def revoke(self) -> None:
        """Ends the lease and deletes its keys."""
        ...


class Watch(Protocol):
    """A stream of changes."""

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """Yields the events of each revision together, in the order of revisions.

        Raises:
            Compacted: the reader was so slow that changes it has not seen are no longer kept.
        """
        ...

    def cancel(self) -> None:
        """Ends the iteration."""
        ...


class MetadataStore(Protocol):
    """A replicated (later) map from bytes to bytes."""

    @property
    def revision(self) -> int:
        """The latest revision in the local image."""
        ...

    def get(self, key: bytes) -> KeyValue | None: ...

    def range(self, prefix: bytes) -> Sequence[KeyValue]:
        """Returns all keys with a prefix, in order."""
        ...

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Does all operations if all compares hold, otherwise none; returns when the outcome is durable.

        Raises:
            ValueError: a key is empty, or stands in more than one operation.
            TooLarge: more than 128 operations or 1 MiB.
            StoreUnavailable: the store failed; the outcome is unknown.
            LeaseExpired: a Put names a lease that is gone.
        """
        ...

    async def lease(self, ttl_ms: int) -> Lease:
        """Grants a lease that ends `ttl_ms` milliseconds after it was last kept alive."""
        ...

    def watch(self, prefix: bytes, revision: int) -> Watch:
        """Delivers every change of keys with a prefix from `revision` (inclusive) on, in order.

        Raises:
            Compacted: changes that old are no longer kept.
        """
        ...
