"""The metadata store of one machine: an internal compacted log, held in memory.

A transaction is one record batch, so it is stored whole or not at all; its revision is the batch's base offset plus
one. A record's key and value are the store's; headers carry what compaction would lose: the revision that made the
key (`created`) and its lease (`lease`). Leases are keys of their own under a prefix that no range shows.
"""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import Record, build_batch, decode_batch
from logserver_records.errors import RecordError
from logserver_segments.committer import Loss
from logserver_segments.errors import CorruptRecords, StorageError
from logserver_segments.partition_log import PartitionLog
from logserver_segments.seams import Clock

from logserver.metadata.store import (
    MAX_OPERATIONS,
    MAX_TXN_BYTES,
    Compacted,
    Compare,
    Delete,
    Event,
    KeyValue,
    LeaseExpired,
    Operation,
    Put,
    StoreUnavailable,
    TooLarge,
    TxnResult,
)

_LEASES: Final = b"\x00lease/"
_CREATED: Final = "created"
_LEASE: Final = "lease"
_ENDED: Final = (0, float("-inf"))
"""In place of the times of a lease that is being revoked."""
_HISTORY_EVENTS: Final = 10_000
"""Changes kept for watchers that are behind."""
_READ_BYTES: Final = 1 << 20
_MAX_DECOMPRESSED: Final = 16 << 20


class LogMetadataStore:
    """A `MetadataStore` on a partition log of this process.

    Args:
        log: the internal log; `load` has to be awaited before anything else.
        leader_epoch: for its batches. This is the one log whose epoch can't come from the store, because it is the
            store: the daemon raises it at an unclean start.
        clock: for timestamps and leases.
    """

    def __init__(self, log: PartitionLog, leader_epoch: int, clock: Clock) -> None:
        self._log = log
        self._leader_epoch = leader_epoch
        self._clock = clock
        self._image: dict[bytes, KeyValue] = {}
        self._keys: list[bytes] = []
        self._revision = 0
        self._history: deque[tuple[Event, ...]] = deque()
        self._history_events = 0
        # Changes of this revision and later are in the history.
        self._kept_from = 1
        self._changed = asyncio.Event()
        self._txn_lock = asyncio.Lock()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._failed: str | None = None
        # Lease id -> (time to live, monotonic time at which it ends).
        self._leases: dict[int, tuple[int, float]] = {}
        log.set_listener(self)

    async def load(self) -> None:
        """Reads the log into memory.

        Raises:
            StorageError: it can't be read, or is damaged.
        """
        offset = self._log.log_start_offset
        while offset < self._log.committed_offset:
            read = self._log.read(offset, _READ_BYTES)
            found = read if isinstance(read, tuple) else await read
            for position, header in whole_batches(found.data):
                revision = header.base_offset + 1
                if revision <= self._revision:
                    raise CorruptRecords(
                        f"the metadata log is damaged: behind revision {self._revision} a batch begins at offset "
                        f"{header.base_offset}"
                    )
                for record in _records(found.data, position, header.base_offset):
                    self._take(record, revision)
                self._revision = revision
            offset = found.next_offset
        self._kept_from = self._revision + 1
        now = self._clock.monotonic_ms()
        for found_lease in self._range(_LEASES):
            # As etcd after a change of leader: every lease gets its whole time again.
            lease_id, ttl_ms = _lease_of(found_lease.key, found_lease.value)
            self._leases[lease_id] = (ttl_ms, now + ttl_ms)

    def _take(self, record: Record, revision: int) -> None:
        """Takes in what the log says of a key."""
        try:
            if record.key is None:
                raise ValueError("it has no key")
            if record.value is None:
                self._forget(record.key)
                return
            if record.key.startswith(_LEASES):
                _lease_of(record.key, record.value)
            headers = {name: int(value or b"0") for name, value in record.headers}
        except ValueError as error:
            raise CorruptRecords(f"the metadata log is damaged at offset {record.offset}: {error}") from error
        created = headers.get(_CREATED, revision)
        self._remember(KeyValue(record.key, record.value, created, revision, headers.get(_LEASE, 0)))

    @property
    def revision(self) -> int:
        """The latest revision."""
        return self._revision

    def get(self, key: bytes) -> KeyValue | None:
        """Returns a key as of the latest revision."""
        return None if key.startswith(_LEASES) else self._image.get(key)

    def range(self, prefix: bytes) -> Sequence[KeyValue]:
        """Returns all keys with a prefix, in order, as of the latest revision."""
        return [found for found in self._range(prefix) if not found.key.startswith(_LEASES)]

    def _range(self, prefix: bytes) -> list[KeyValue]:
        found = []
        for number in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[number]
            if not key.startswith(prefix):
                break
            found.append(self._image[key])
        return found

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Does all operations if all compares hold; see `MetadataStore.txn`."""
        _check_keys(operations)
        _check_size(compares, operations)
        return await self._txn(compares, operations)

    async def _txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        # Shielded: a caller that goes away must not leave the image behind the log.
        return await asyncio.shield(asyncio.ensure_future(self._run_txn(compares, operations)))

    async def _run_txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        async with self._txn_lock:
            if self._failed is not None:
                raise StoreUnavailable(self._failed)
            for operation in operations:
                if isinstance(operation, Put) and operation.lease:
                    self._check_lease(operation.lease)
            if not all(compare.holds(self._image.get(compare.key)) for compare in compares):
                return TxnResult(False, self._revision)
            effective = [
                operation for operation in operations if isinstance(operation, Put) or operation.key in self._image
            ]
            if not effective:
                return TxnResult(True, self._revision)
            await self._write(effective)
            return TxnResult(True, self._revision)

    async def _write(self, operations: Sequence[Operation]) -> None:
        now = self._clock.now_ms()
        revision = self._log.log_end_offset + 1
        records: list[tuple[int, bytes, bytes | None, tuple[tuple[str, bytes], ...]]] = []
        for operation in operations:
            if isinstance(operation, Delete):
                records.append((now, operation.key, None, ()))
                continue
            old = self._image.get(operation.key)
            headers = [(_CREATED, str(old.create_revision if old else revision).encode())]
            if operation.lease:
                headers.append((_LEASE, str(operation.lease).encode()))
            records.append((now, operation.key, operation.value, tuple(headers)))
        try:
            appended = self._log.append_trusted(build_batch(records), self._leader_epoch, now)
            if self._log.committed_offset <= appended.last_offset:
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append((appended.last_offset, done))
                await done
        except (StorageError, OSError) as error:
            raise StoreUnavailable(f"the metadata log could not be written: {error}") from error
        self._apply(operations, revision)

    def _apply(self, operations: Sequence[Operation], revision: int) -> None:
        events = []
        for operation in operations:
            if isinstance(operation, Delete):
                self._forget(operation.key)
                events.append(Event(operation.key, None, revision))
            else:
                old = self._image.get(operation.key)
                created = old.create_revision if old else revision
                self._remember(KeyValue(operation.key, operation.value, created, revision, operation.lease))
                events.append(Event(operation.key, operation.value, revision))
        self._revision = revision
        self._history.append(tuple(events))
        self._history_events += len(events)
        while self._history_events > _HISTORY_EVENTS:
            gone = self._history.popleft()
            self._history_events -= len(gone)
            self._kept_from = gone[0].revision + 1
        self._changed.set()
        self._changed = asyncio.Event()

    def _remember(self, item: KeyValue) -> None:
        if item.key not in self._image:
            insort(self._keys, item.key)
        self._image[item.key] = item

    def _forget(self, key: bytes) -> None:
        if self._image.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    # The log's listener

    def log_committed(self, offset: int) -> None:
        """Answers the transactions that are durable now."""
        while self._waiting and self._waiting[0][0] < offset:
            _, done = self._waiting.popleft()
            if not done.done():
                done.set_result(None)

    def log_lost(self, loss: Loss) -> None:
        """Fails everything: the store can't be changed any more until a restart."""
        self._failed = f"the metadata log is offline: {loss.message}; restart the server once the disk is well"
        while self._waiting:
            _, done = self._waiting.popleft()
            if not done.done():
                done.set_exception(StoreUnavailable(self._failed))

    # Leases

    async def lease(self, ttl_ms: int) -> "LogLease":
        """Grants a lease; see `MetadataStore.lease`."""
        if ttl_ms <= 0:
            raise ValueError("a lease needs a time to live above 0 ms")
        # Ids are never used twice: a later one has a larger revision.
        lease_id = self._revision + 1
        while lease_id in self._leases:
            lease_id += 1
        self._leases[lease_id] = (ttl_ms, self._clock.monotonic_ms() + ttl_ms)
        await self._txn((), (Put(_lease_key(lease_id), str(ttl_ms).encode()),))
        return LogLease(self, lease_id)

    def keep_lease_alive(self, lease_id: int) -> None:
        """Starts a lease's time to live again.

        Raises:
            LeaseExpired: it is gone, or its time is over.
        """
        ttl_ms, ends = self._leases.get(lease_id, (0, 0.0))
        now = self._clock.monotonic_ms()
        if now >= ends:
            raise LeaseExpired(f"lease {lease_id} is gone")
        self._leases[lease_id] = (ttl_ms, now + ttl_ms)

    def _check_lease(self, lease_id: int) -> None:
        if self._leases.get(lease_id, _ENDED) == _ENDED:
            raise LeaseExpired(f"lease {lease_id} is gone")

    async def revoke_lease(self, lease_id: int) -> None:
        """Ends a lease and deletes its keys, in as many transactions as it takes.

        Raises:
            StoreUnavailable: the store failed; what is left goes at a later `expire_leases`.
        """
        if lease_id in self._leases:
            # From here on no key can be put under it. It is forgotten when its last key is gone.
            self._leases[lease_id] = _ENDED
            await asyncio.shield(asyncio.ensure_future(self._run_revoke(lease_id)))

    async def _run_revoke(self, lease_id: int) -> None:
        # Which keys are the lease's is known under the lock only: a transaction before this one may change that.
        async with self._txn_lock:
            if self._failed is not None:
                raise StoreUnavailable(self._failed)
            keys = [found.key for found in self._image.values() if found.lease == lease_id]
            if _lease_key(lease_id) in self._image:
                keys.append(_lease_key(lease_id))
            for start in range(0, len(keys), MAX_OPERATIONS):
                await self._write([Delete(key) for key in keys[start : start + MAX_OPERATIONS]])
            self._leases.pop(lease_id, None)

    async def expire_leases(self) -> None:
        """Revokes the leases whose time is over; to be called now and then.

        Raises:
            StoreUnavailable: as `revoke_lease`.
        """
        now = self._clock.monotonic_ms()
        for lease_id in [found for found, (_, ends) in self._leases.items() if now >= ends]:
            await self.revoke_lease(lease_id)

    # Watches

    def watch(self, prefix: bytes, revision: int) -> "LogWatch":
        """Delivers changes from a revision on; see `MetadataStore.watch`."""
        watch = LogWatch(self, prefix, revision)
        if revision < self._kept_from:
            raise Compacted(f"changes before revision {self._kept_from} are no longer kept")
        return watch

    def events_since(self, revision: int) -> tuple[list[tuple[Event, ...]], asyncio.Event]:
        """Returns the kept changes from a revision on, by revision, and an event that is set at the next one.

        Raises:
            Compacted: changes from that revision on are no longer all kept.
        """
        if revision < self._kept_from:
            raise Compacted(f"changes before revision {self._kept_from} are no longer kept")
        found = []
        for events in reversed(self._history):
            if events[0].revision < revision:
                break
            found.append(events)
        return found[::-1], self._changed


class LogLease:
    """A lease of a `LogMetadataStore`."""

    def __init__(self, store: LogMetadataStore, lease_id: int) -> None:
        self._store = store
        self.id = lease_id

    async def keep_alive(self) -> None:
        """Starts the time to live again; raises LeaseExpired if it is too late."""
        self._store.keep_lease_alive(self.id)

    async def revoke(self) -> None:
        """Ends the lease and deletes its keys."""
        await self._store.revoke_lease(self.id)


class LogWatch:
    """A watch on a `LogMetadataStore`. It keeps a place in the store's history, not a queue of its own."""

    def __init__(self, store: LogMetadataStore, prefix: bytes, revision: int) -> None:
        self._store = store
        self._prefix = prefix
        self._next = revision
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Ends the iteration."""
        self._cancelled.set()

    async def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        while not self._cancelled.is_set():
            found, changed = self._store.events_since(self._next)
            for events in found:
                self._next = events[0].revision + 1
                mine = [
                    event
                    for event in events
                    if event.key.startswith(self._prefix) and not event.key.startswith(_LEASES)
                ]
                if mine:
                    yield mine
                if self._cancelled.is_set():
                    return
            if found:
                continue
            waits = [asyncio.ensure_future(event.wait()) for event in (changed, self._cancelled)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()


def _lease_key(lease_id: int) -> bytes:
    return _LEASES + f"{lease_id:020d}".encode()


def _lease_of(key: bytes, value: bytes) -> tuple[int, int]:
    """Returns a lease's id and its time to live; raises ValueError if they are none."""
    return int(key.removeprefix(_LEASES)), int(value)


def _records(data: Buffer, position: int, base_offset: int) -> list[Record]:
    try:
        # What topics there are hangs on these bytes: better no start than one with a topic missing.
        return decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED, verify_crc=True)
    except RecordError as error:
        raise CorruptRecords(f"the metadata log is damaged at offset {base_offset}: {error}") from error


def _check_keys(operations: Sequence[Operation]) -> None:
    seen = set()
    for operation in operations:
        key = operation.key
        if not key or key.startswith(_LEASES):
            raise ValueError(f"the key {key!r} can't be used: it is empty or begins as those of the store itself")
        if key in seen:
            # As etcd: which of them is the last would be a matter of order.
            raise ValueError(f"the key {key!r} stands in the transaction more than once")
        seen.add(key)


def _check_size(compares: Sequence[Compare], operations: Sequence[Operation]) -> None:
    for what, count in (("operations", len(operations)), ("compares", len(compares))):
        if count > MAX_OPERATIONS:
            raise TooLarge(f"a transaction may hold {MAX_OPERATIONS} {what}, this one holds {count}")
    size = sum(len(op.key) + (len(op.value) if isinstance(op, Put) else 0) for op in operations)
    size += sum(len(compare.key) + len(compare.value or b"") for compare in compares)
    if size > MAX_TXN_BYTES:
        raise TooLarge(f"a transaction may hold {MAX_TXN_BYTES} bytes, this one holds {size}")
