"""Compression and decompression of every format, against other implementations."""

import gzip
import struct
import zlib

import cramjam
import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records import snappy
from logserver_records.compression import LEVELS, MAX_FRAMES, Compression, compress, decompress, zstd
from logserver_records.errors import CorruptBatch, RecordError, UnsupportedBatch

from . import reference

MIB = 1 << 20
CODECS = list(Compression)
PACKED = [codec for codec in CODECS if codec]
TEXT = b"".join(b'{"flight": %d, "carrier": "UA"}' % number for number in range(3000))
SKIPPABLE = struct.pack("<II", 0x184D2A50, 3) + b"xyz"


def zstd_of_unknown_size(data: bytes, level: int = 3) -> bytes:
    compressor = zstd.ZstdCompressor(level=level)
    packed = compressor.compress(data) + compressor.flush()
    assert zstd.get_frame_info(packed).decompressed_size is None
    return packed


@pytest.mark.parametrize(
    ("name", "codec"), [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)], ids=lambda value: str(value)
)
def test_codecs_have_the_names_and_numbers_of_kafka(name, codec):
    assert Compression.parse(name) == Compression(codec) == Compression.of(codec)
    assert Compression(codec).label == name


@pytest.mark.parametrize("name", ["", "LZ4", "brotli", "producer", "zstd "])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match="choose one of none, gzip, snappy, lz4, zstd"):
        Compression.parse(name)


@pytest.mark.parametrize("number", [5, 6, 7])
def test_an_unknown_number_is_unsupported(number):
    with pytest.raises(UnsupportedBatch, match=f"unknown compression codec {number}"):
        Compression.of(number)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@given(
    data=st.one_of(st.binary(max_size=2000), st.builds(lambda part, n: part * n, st.binary(max_size=9), st.just(9999)))
)
def test_what_was_compressed_comes_out_again_here_and_elsewhere(codec, kind, data):
    packed = compress(codec, kind(data))
    assert isinstance(packed, bytes)
    assert decompress(codec, kind(packed), max_bytes=len(data)) == data
    assert reference.decompress(codec, packed) == data


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=2000))
def test_what_others_compressed_is_read(codec, data):
    assert decompress(codec, reference.compress(codec, data), max_bytes=len(data)) == data


@pytest.mark.parametrize("codec", CODECS)
def test_data_of_several_pieces_comes_out_whole(codec):
    data = TEXT * 40
    assert len(data) > 3 * MIB
    assert decompress(codec, compress(codec, data), max_bytes=len(data)) == data


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("pieces", [1, 2])
def test_data_that_ends_with_a_piece_comes_out_whole(codec, pieces):
    data = bytes(pieces * MIB)
    assert decompress(codec, compress(codec, data), max_bytes=8 * MIB) == data


@pytest.mark.parametrize("codec", PACKED)
def test_data_cut_anywhere_is_corrupt(codec):
    packed = compress(codec, b"some text, and some text again")
    for size in range(len(packed)):
        if codec == Compression.SNAPPY and size == 16:
            continue  # The head of the framing alone holds no blocks, and is whole.
        with pytest.raises(CorruptBatch, match=codec.label):
            decompress(codec, packed[:size], max_bytes=MIB)


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("junk", [b"x", b"\x00" * 30, b"more data that is not of the format"])
def test_bytes_behind_the_data_are_corrupt(codec, junk):
    with pytest.raises(CorruptBatch, match=codec.label):
        decompress(codec, compress(codec, b"text") + junk, max_bytes=100)


@pytest.mark.parametrize("codec", PACKED)
@given(data=st.binary(max_size=200))
def test_other_bytes_are_an_error_or_decompress(codec, data):
    try:
        decompress(codec, data, max_bytes=MIB)
    except RecordError as error:
        assert codec.label in str(error)


@pytest.mark.parametrize("codec", PACKED)
@given(data=st.data())
def test_damaged_data_is_an_error_or_decompresses(codec, data):
    packed = bytearray(compress(codec, TEXT[:1000]))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        decompress(codec, packed, max_bytes=MIB)
    except RecordError as error:
        assert codec.label in str(error)


@pytest.mark.parametrize("codec", LEVELS)
def test_levels_are_those_of_kafka(codec):
    lowest, highest = LEVELS[codec]
    sizes = [len(compress(codec, TEXT, level)) for level in (lowest, highest)]
    assert sizes[0] > sizes[1]
    for level in (lowest, highest):
        assert decompress(codec, compress(codec, TEXT, level), max_bytes=len(TEXT)) == TEXT
    for level in (lowest - 1, highest + 1):
        with pytest.raises(ValueError, match=f"{codec.label} has levels {lowest} to {highest}, got level {level}"):
            compress(codec, TEXT, level)


@pytest.mark.parametrize("codec", [Compression.NONE, Compression.SNAPPY])
def test_a_level_is_an_error_where_there_are_none(codec):
    with pytest.raises(ValueError, match=f"{codec.label} has no levels"):
        compress(codec, TEXT, 1)


def test_lz4_blocks_are_independent_as_the_java_client_demands():
    packed = compress(Compression.LZ4, TEXT)
    # The frame format: version 01, independent blocks, nothing else; then 64 KiB blocks.
    assert packed[:6] == b"\x04\x22\x4d\x18" + bytes([0b0110_0000, 0b0100_0000])


@pytest.mark.parametrize("options", [{"block_linked": True}, {"content_checksum": True, "block_checksum": True}])
def test_lz4_of_other_clients_is_read(options):
    assert decompress(Compression.LZ4, lz4.frame.compress(TEXT, **options), max_bytes=len(TEXT)) == TEXT


def test_snappy_is_written_in_the_framing_of_the_java_client():
    data = TEXT[:80_000]
    packed = compress(Compression.SNAPPY, data)
    assert packed[:16] == b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    blocks = []
    position = 16
    while position < len(packed):
        (size,) = struct.unpack_from(">i", packed, position)
        blocks.append(reference.unsnappy(packed[position + 4 : position + 4 + size]))
        position += 4 + size
    assert [len(block) for block in blocks] == [32768, 32768, 80_000 - 65536]
    assert b"".join(blocks) == data


def test_raw_and_concatenated_snappy_is_read():
    raw = bytes(cramjam.snappy.compress_raw(TEXT))
    assert decompress(Compression.SNAPPY, raw, max_bytes=len(TEXT)) == TEXT
    twice = snappy.compress_framed(b"one,") + snappy.compress_framed(b"two")
    assert decompress(Compression.SNAPPY, twice, max_bytes=7) == b"one,two"


@pytest.mark.parametrize("length", [-1, 0, 4, 2**31 - 1, -(2**31)])
def test_a_snappy_block_of_a_wrong_length_is_corrupt(length):
    packed = snappy.compress_framed(b"")
    with pytest.raises(CorruptBatch, match=f"block of {length} bytes where 3 are left"):
        decompress(Compression.SNAPPY, packed + struct.pack(">i", length) + b"\x01\x00a", max_bytes=100)


@pytest.mark.parametrize("level", [-5, 3, 19, 22])
def test_zstd_of_unknown_size_is_read_at_every_level(level):
    packed = zstd_of_unknown_size(TEXT, level)
    assert decompress(Compression.ZSTD, packed, max_bytes=len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("codec", "frames"),
    [
        (Compression.GZIP, [gzip.compress(b"one,"), gzip.compress(b""), zlib.compress(b"two", wbits=31)]),
        (Compression.LZ4, [lz4.frame.compress(b"one,"), SKIPPABLE, lz4.frame.compress(b"two")]),
        (Compression.ZSTD, [zstd.compress(b"one,"), SKIPPABLE, zstd_of_unknown_size(b"tw"), zstd.compress(b"o")]),
    ],
)
def test_frames_one_after_the_other_are_one_stream(codec, frames):
    data = b"".join(frames)
    assert decompress(codec, data, max_bytes=7) == b"one,two"
    with pytest.raises(CorruptBatch, match=codec.label):
        decompress(codec, data[:-1], max_bytes=7)


@pytest.mark.parametrize("codec", [Compression.GZIP, Compression.LZ4, Compression.ZSTD])
def test_the_number_of_frames_is_limited(codec):
    frame = compress(codec, b"")
    assert decompress(codec, frame * MAX_FRAMES, max_bytes=0) == b""
    with pytest.raises(CorruptBatch, match=f"{codec.label} data of more than {MAX_FRAMES} frames"):
        decompress(codec, frame * (MAX_FRAMES + 1), max_bytes=0)


def test_no_view_of_the_input_is_kept_after_an_error():
    for codec in PACKED:
        for packed in (compress(codec, TEXT)[:-1], compress(codec, TEXT), b"\x00\x01\x02"):
            data = bytearray(packed)
            with pytest.raises(ValueError) as caught:
                decompress(codec, data, max_bytes=10)
            # Resizing fails while a view is open, and the caught error keeps the frames alive.
            data.append(0)
            assert caught.value
