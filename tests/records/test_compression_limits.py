"""What may come out is limited, and refusing more takes no memory to speak of."""

import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
from logserver_records import compression, snappy
from logserver_records.compression import Compression, compress, decompress, zstd
from logserver_records.errors import DecompressionLimitExceeded

from .reference import RefBatch, encode, plain_varint

MIB = 1 << 20
BOMB_BYTES = 256 * MIB
LIMIT_BYTES = 16 * MIB

WINDOW_128_MIB = (27 - 10) << 3
WINDOW_2_GIB = (31 - 10) << 3
EMPTY_LAST_BLOCK = (1, 0, 0)

CHILD = """
import sys
from logserver_records import DecompressionLimitExceeded, decode_batch

def peak_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024

with open(sys.argv[1], "rb") as file:
    batch = file.read()
before = peak_bytes()
try:
    decode_batch(batch, max_decompressed_bytes=int(sys.argv[2]))
except DecompressionLimitExceeded as error:
    print(peak_bytes() - before, error)
"""


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(BOMB_BYTES // MIB)) + packer.flush()


def lz4_bomb() -> bytes:
    with lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB) as packer:
        parts = [packer.begin()]
        parts += [packer.compress(bytes(MIB)) for _ in range(BOMB_BYTES // MIB)]
        return b"".join([*parts, packer.flush()])


def zstd_bomb(window_log: int) -> bytes:
    """Without a declared size."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
    return b"".join(packer.compress(bytes(MIB)) for _ in range(BOMB_BYTES // MIB)) + packer.flush()


def zstd_declared_bomb() -> bytes:
    return zstd.compress(bytes(BOMB_BYTES))


def zstd_frames_bomb() -> bytes:
    return zstd.compress(bytes(MIB)) * 256


def snappy_raw_bomb() -> bytes:
    return plain_varint(2**32 - 1) + bytes(20)


def snappy_framed_bomb() -> bytes:
    block = plain_varint(MIB) + bytes(20)
    return snappy.compress_framed(b"") + (struct.pack(">i", len(block)) + block) * 256


BOMBS: list[tuple[str, Compression, Callable[[], bytes], int]] = [
    ("gzip", Compression.GZIP, gzip_bomb, LIMIT_BYTES),
    ("lz4", Compression.LZ4, lz4_bomb, LIMIT_BYTES),
    # It keeps its window, too.
    ("zstd-large-window", Compression.ZSTD, lambda: zstd_bomb(27), 2 * LIMIT_BYTES),
    ("zstd-small-window", Compression.ZSTD, lambda: zstd_bomb(17), LIMIT_BYTES),
    ("zstd-declared", Compression.ZSTD, zstd_declared_bomb, 0),
    ("zstd-frames", Compression.ZSTD, zstd_frames_bomb, 0),
    ("snappy-raw", Compression.SNAPPY, snappy_raw_bomb, 0),
    ("snappy-framed", Compression.SNAPPY, snappy_framed_bomb, 0),
]
"""Name, codec, what makes the bomb, and what refusing it may take on top of what any batch takes."""


def batch_over(body: bytes, codec: Compression) -> bytes:
    return encode(RefBatch((), attributes=codec, record_count=1000, last_offset_delta=999), body)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(("codec", "bomb", "most_bytes"), [bomb[1:] for bomb in BOMBS], ids=[bomb[0] for bomb in BOMBS])
def test_refusing_a_bomb_takes_the_limit_in_memory_and_not_more(codec, bomb, most_bytes, tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(batch_over(bomb(), codec))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(LIMIT_BYTES)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    grown_bytes, _, message = done.stdout.partition(" ")
    assert re.search(rf"{codec.label} data .*limit (of|is) {LIMIT_BYTES} bytes", message), done.stdout
    assert int(grown_bytes) < most_bytes + 8 * MIB, done.stdout


def test_a_zstd_window_beyond_the_limit_is_refused():
    packed = b"\x28\xb5\x2f\xfd" + bytes([0, WINDOW_2_GIB, *EMPTY_LAST_BLOCK])
    with pytest.raises(
        DecompressionLimitExceeded, match=f"zstd .*window of {1 << 31} bytes, the limit is {1 << 27} bytes"
    ):
        decompress(Compression.ZSTD, packed, max_bytes=100)


def test_the_largest_zstd_window_of_kafkas_levels_is_read():
    packer = zstd.ZstdCompressor(level=22)
    packed = packer.compress(b"some text") + packer.flush()
    assert packed[5] == WINDOW_128_MIB
    assert decompress(Compression.ZSTD, packed, max_bytes=9) == b"some text"
    one_more = packed[:5] + bytes([WINDOW_128_MIB + 1]) + packed[6:]
    with pytest.raises(DecompressionLimitExceeded, match="window"):
        decompress(Compression.ZSTD, one_more, max_bytes=9)


def test_a_zstd_frame_that_is_its_own_window_is_bounded_by_the_output_alone(monkeypatch):
    monkeypatch.setattr(compression, "ZSTD_MAX_WINDOW_BYTES", 1024)
    # More than the library takes in one go, where it wouldn't look at the window.
    data = bytes(range(250)) * 1300
    packed = zstd.compress(data)
    assert packed[4] & 0x20
    assert decompress(Compression.ZSTD, packed, max_bytes=len(data)) == data


@pytest.mark.parametrize("codec", Compression)
@pytest.mark.parametrize("size", [0, 1, 1000, MIB, MIB + 1])
def test_the_limit_is_inclusive_and_named(codec, size):
    packed = compress(codec, bytes(size))
    assert decompress(codec, packed, max_bytes=size) == bytes(size)
    if size:
        with pytest.raises(DecompressionLimitExceeded, match=f"limit (of|is) {size - 1} bytes"):
            decompress(codec, packed, max_bytes=size - 1)


@pytest.mark.parametrize("frames", [1, 2])
def test_the_limit_is_inclusive_for_zstd_of_unknown_size(frames):
    packer = zstd.ZstdCompressor()
    packed = (packer.compress(bytes(1000)) + packer.flush()) * frames
    assert decompress(Compression.ZSTD, packed, max_bytes=1000 * frames) == bytes(1000 * frames)
    with pytest.raises(DecompressionLimitExceeded, match=f"limit of {1000 * frames - 1} bytes"):
        decompress(Compression.ZSTD, packed, max_bytes=1000 * frames - 1)
