"""Repair on a disk that refuses: what is there stays, and nothing is left half done."""

import errno

import pytest
from logserver_records.batch import split
from logserver_segments.machine import SystemRandom
from logserver_segments.verification.findings import Finding, Replace
from logserver_segments.verification.repair import repair

from .support import SMALL, Box, batch, read_all


@pytest.mark.parametrize(
    ("operation", "pattern"),
    [("write", "*.cut-*"), ("sync", "*.cut-*"), ("create", "*.tmp"), ("write", "*.tmp"), ("sync", "*.tmp")],
)
def test_a_disk_that_fills_up_leaves_all_as_it_was(operation: str, pattern: str) -> None:
    box = Box(SMALL)
    box.append(*[batch(b"%d" % number) for number in range(3)])
    (path,) = [segment.path for segment in box.log.segments]
    box.directory.close()
    content, names = bytes(box.disk.inode(path).data), box.names
    start, header = list(split(content))[1]
    findings = [Finding(path, start, "wrong", "cuts it out", Replace(path, start, start + header.size, 1, 2))]
    fault = box.disk.fail(operation, pattern, errno.ENOSPC, times=None)
    with pytest.raises(OSError, match="No space left"):
        repair(box.path, findings, box.disk, SystemRandom())
    assert (bytes(box.disk.inode(path).data), box.names) == (content, names)
    # With space it is done, and where it always is.
    box.disk.faults.remove(fault)
    assert repair(box.path, findings, box.disk, SystemRandom()) == [f"{path}.cut-{start}"]
    assert bytes(box.disk.inode(f"{path}.cut-{start}").data) == content[start : start + header.size]
    box.open()
    assert [record.offset for record in read_all(box.log)] == [0, 2]
