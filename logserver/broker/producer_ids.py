"""Producer ids, taken from the metadata store in blocks so that no two nodes ever give out the same."""

import asyncio
from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import Compare, MetadataStore, Put

BLOCK_SIZE: Final = 1000
NEXT_BLOCK: Final = b"/producer_ids/next"
_MAX_EPOCH: Final = 0x7FFF


class ProducerIds:
    """Gives out producer ids and epochs.

    Args:
        store: where the blocks come from; what is left of a block at a restart is never given out.
    """

    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self._next = 0
        self._block_end = 0
        self._lock = asyncio.Lock()

    async def new(self) -> int:
        """Returns a producer id that nobody has had.

        Raises:
            StoreUnavailable: the metadata store failed.
        """
        async with self._lock:
            if self._next == self._block_end:
                await self._take_block()
            self._next += 1
            return self._next - 1

    async def _take_block(self) -> None:
        while True:
            found = self._store.get(NEXT_BLOCK)
            start = int(found.value) if found is not None else 0
            compare = Compare(NEXT_BLOCK, mod_revision=found.mod_revision if found is not None else 0)
            result = await self._store.txn((compare,), (Put(NEXT_BLOCK, str(start + BLOCK_SIZE).encode()),))
            if result.succeeded:
                self._next, self._block_end = start, start + BLOCK_SIZE
                return

    async def init(self, producer_id: int | None, epoch: int | None) -> tuple[int, int]:
        """Returns (producer id, epoch): new ones, or the next epoch of an id that the client has (KIP-360).

        Raises:
            LogServerError: INVALID_REQUEST if only one of them is given, they are negative, or nobody was given the id.
            StoreUnavailable: the metadata store failed.
        """
        if producer_id is None and epoch is None:
            return await self.new(), 0
        if producer_id is None or epoch is None or producer_id < 0 or not 0 <= epoch <= _MAX_EPOCH:
            raise LogServerError(
                ErrorCode.invalid_request,
                "give both producer_id and producer_epoch, the ones that the producer has, or neither",
            )
        found = self._store.get(NEXT_BLOCK)
        if found is None or producer_id >= int(found.value):
            # A later block will give it to somebody else.
            raise LogServerError(
                ErrorCode.invalid_request,
                f"producer id {producer_id} has not been given out by this cluster; ask for a new one",
            )
        if epoch >= _MAX_EPOCH - 1:
            return await self.new(), 0
        return producer_id, epoch + 1
