"""What a power cut could leave of a tree.

Of what was written to a file since its last sync any part may be there, whatever became of other files: none, all, a
part in order with the last write torn, or any of it in any order, torn where sectors (512 bytes) or pages (4 KiB) of
the file meet, or anywhere. The file may also have its new size with nothing in it. Of the changes to a directory since
its last sync the first few are there, in order: journaling file systems keep that order within a directory.
"""

from itertools import pairwise
from typing import Final, Protocol

from logserver.simulation.disk.tree import Cut, Directory, Inode, Node, Tree, Write, apply, put

SECTOR_BYTES: Final = 512
PAGE_BYTES: Final = 4096


class Chance(Protocol):
    """What decides about the outcome of a power cut; `random.Random` fits."""

    def randint(self, low: int, high: int, /) -> int: ...

    def randrange(self, count: int, /) -> int: ...

    def random(self) -> float: ...


def after_power_cut(tree: Tree, choose: Chance) -> Tree:
    """Returns what a power cut leaves, all of it durable; the tree stays as it is."""
    # Now and then everything that is not durable goes, or nothing does: what most crashes look like.
    whole = choose.randrange(8)
    return Tree(_directory(tree.root, choose, {}, {6: 0.0, 7: 1.0}.get(whole)))


def _directory(directory: Directory, choose: Chance, seen: dict[int, Inode], share: float | None) -> Directory:
    entries = dict(directory.durable)
    count = choose.randint(0, len(directory.pending)) if share is None else round(share * len(directory.pending))
    for change in directory.pending[:count]:
        put(entries, change)
    left: dict[str, Node] = {}
    for name, node in entries.items():
        if isinstance(node, Directory):
            left[name] = _directory(node, choose, seen, share)
        else:
            if id(node) not in seen:
                seen[id(node)] = Inode(node.number, _content(node, choose, share))
            left[name] = seen[id(node)]
    result = Directory()
    result.children, result.durable = left, dict(left)
    return result


def _content(inode: Inode, choose: Chance, share: float | None) -> bytes:
    if not inode.pending or share == 0.0:
        return inode.durable
    if share == 1.0:
        return apply(inode.durable, inode.pending)
    return apply(inode.durable, _survivors(inode, choose))


def _survivors(inode: Inode, choose: Chance) -> list[Write | Cut]:
    pending = inode.pending
    kind = choose.randrange(6)
    if kind == 0:
        return []
    if kind == 1:
        return pending
    if kind == 2:
        count = choose.randint(0, len(pending))
        kept = pending[:count]
        if count < len(pending):
            kept += _torn(pending[count], choose)
        return kept
    if kind == 3:
        return [left for operation in pending for left in _sectors(operation, choose)]
    if kind == 4:
        return _sizes(inode, pending)
    return [left for operation in pending if choose.random() < 0.7 for left in _torn(operation, choose)]


def _sizes(inode: Inode, pending: list[Write | Cut]) -> list[Write | Cut]:
    """Leaves the sizes that the journal has, and nothing of the data."""
    left: list[Write | Cut] = []
    size = len(inode.durable)
    for operation in pending:
        if isinstance(operation, Cut):
            size = operation.size
            left.append(operation)
        elif operation.position + len(operation.data) > size:
            size = operation.position + len(operation.data)
            left.append(Cut(size))
    return left


def _torn(operation: Write | Cut, choose: Chance) -> list[Write | Cut]:
    """Leaves one piece of a write, more often its beginning than its middle."""
    if isinstance(operation, Cut) or choose.random() < 0.5:
        return [operation]
    unit = (1, SECTOR_BYTES, PAGE_BYTES)[choose.randrange(3)]
    edges = _edges(operation, unit)
    start, end = sorted((choose.randrange(len(edges)), choose.randrange(len(edges))))
    if choose.random() < 0.5:
        start = 0
    return [Write(edges[start], operation.data[edges[start] - operation.position : edges[end] - operation.position])]


def _sectors(operation: Write | Cut, choose: Chance) -> list[Write | Cut]:
    """Leaves any of the sectors or pages of a write."""
    if isinstance(operation, Cut):
        return [operation]
    edges = _edges(operation, (SECTOR_BYTES, PAGE_BYTES)[choose.randrange(2)])
    return [
        Write(start, operation.data[start - operation.position : end - operation.position])
        for start, end in pairwise(edges)
        if choose.random() < 0.5
    ]


def _edges(operation: Write, unit: int) -> list[int]:
    """Returns the positions in the file where a write may tear, its two ends included."""
    first, last = operation.position, operation.position + len(operation.data)
    inner = range(first - first % unit + unit, last, unit)
    return [first, *inner, last]
