"""What of a batch stays where there is no room for more."""

from logserver_records.batch import read_header
from logserver_segments.compaction.decided import DecidedTransactions
from logserver_segments.compaction.key_map import KeyMap
from logserver_segments.compaction.survivors import Filter
from logserver_segments.scan import Found

from .fake_disk import FakeDisk
from .support import MAX_BYTES, NOW, keyed


def test_a_batch_stays_as_it_is_where_a_delete_horizon_would_take_too_many_bytes() -> None:
    data = keyed((b"a", None), timestamp=NOW - 10**9)
    header = read_header(data)
    keys = KeyMap(1000, 0.9, 10)
    keys.put_all([(0, b"a", True)])
    chooser = Filter(keys, 1, DecidedTransactions([], [], FakeDisk()), {}, NOW, 1000, MAX_BYTES)
    found = Found(0, header, data, 0)
    larger = chooser.survivor(found, False, 1000, -1)
    assert larger is not None and larger.header.delete_horizon_ms == NOW + 1000
    growth = len(larger.data) - len(data)
    assert growth > 0
    assert chooser.survivor(found, False, growth, -1) == larger
    same = chooser.survivor(found, False, growth - 1, -1)
    assert same is not None and (same.header, bytes(same.data)) == (header, data)
