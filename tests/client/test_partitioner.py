"""A key goes to the same partition whichever client sends it."""

import pytest
from logserver_client import murmur2, partition_for_key


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # Apache Kafka, clients, UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_what_kafkas_own_tests_expect(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected


def murmur2_by_the_book(data: bytes) -> int:
    """MurmurHash2 one byte and one step at a time, with Kafka's seed."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = (data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24) * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    for place in reversed(range(len(data) - whole)):
        h ^= data[whole + place] << 8 * place
    if len(data) > whole:
        h = h * m & mask
    h = (h ^ h >> 13) * m & mask
    h ^= h >> 15
    return h - (1 << 32) if h >> 31 else h


@pytest.mark.parametrize("length", [*range(20), 127, 128, 129, 132, 133, 1000])
def test_murmur2_is_right_at_every_length(length: int) -> None:
    data = bytes(at * 37 % 256 for at in range(length))
    assert murmur2(data) == murmur2_by_the_book(data)


def test_a_negative_hash_loses_its_sign_bit_and_not_its_sign() -> None:
    # (-973932308 & 0x7fffffff) % 12, where abs() would give 8.
    assert partition_for_key(b"21", 12) == 0
    assert all(0 <= partition_for_key(str(n).encode(), 7) < 7 for n in range(1000))
