"""Kafka's four compression codecs through pyarrow, with the framings that clients really use and a bound on the output.

Snappy comes framed by the xerial library's blocks (Java, kafka-python, aiokafka, kafkajs) or raw (librdkafka). LZ4 is
a frame; Java's reader refuses one whose blocks depend on each other, which is what pyarrow writes, so the frame is
put together here from blocks. Decompression is bounded: a kilobyte can claim to be gigabytes.
"""

import struct
from collections.abc import Iterator

import pyarrow as pa

from infra.errors import Corrupt
from infra.store.port import Buffer

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NAMES = ("none", "gzip", "snappy", "lz4", "zstd")
MAX_OUTPUT_BYTES = 256 << 20
"""A batch of the greatest allowed size (100 MiB frame) that is not a bomb stays below this."""

_STREAM_CHUNK = 1 << 20
_ZSTD_LEVEL = 1  # measured: higher levels cost more than they save
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)  # version, lowest compatible version
_XERIAL_BLOCK = 32 << 10
_SNAPPY_BEST_RATIO = 64 // 3 + 1  # three bytes copy 64 at the most
_LZ4_HEADER = bytes.fromhex("04224d18607073")  # independent blocks of at most 4 MiB, no checksums; header checksum 73
_LZ4_BLOCK = 4 << 20
_LZ4_PLAIN = 1 << 31  # this block is stored as it is
_BLOCK_SIZE = struct.Struct(">I")
_LZ4_BLOCK_SIZE = struct.Struct("<I")


def decompress(codec: int, data: Buffer, limit: int = MAX_OUTPUT_BYTES) -> Buffer:
    """The bytes that were compressed. Raises `Corrupt` for bytes that are not what the codec says, and for more than
    `limit` bytes of output."""
    if codec == NONE:
        return data
    try:
        if codec == SNAPPY:
            return _snappy_decompress(memoryview(data), limit)
        if codec in (GZIP, LZ4, ZSTD):
            return _stream_decompress(NAMES[codec], data, limit)
    except (OSError, ValueError, struct.error) as error:
        raise Corrupt(f"these are no {NAMES[codec]} bytes: {error}") from error
    raise Corrupt(f"compression codec {codec} is unknown")


def compress(codec: int, data: Buffer) -> Buffer:
    """`data` compressed as any Kafka client can read it."""
    if codec == NONE:
        return data
    if codec == SNAPPY:
        return b"".join(_xerial_blocks(memoryview(data)))
    if codec == LZ4:
        return b"".join(_lz4_frame(memoryview(data)))
    if codec == ZSTD:
        return bytes(pa.Codec("zstd", _ZSTD_LEVEL).compress(data, asbytes=True))
    if codec == GZIP:
        return bytes(pa.Codec("gzip").compress(data, asbytes=True))
    raise ValueError(f"compression codec {codec} is unknown")


def _stream_decompress(name: str, data: Buffer, limit: int) -> Buffer:
    parts: list[Buffer] = []
    left = limit
    with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(data)), name) as stream:
        while part := stream.read(min(_STREAM_CHUNK, left + 1)):
            left -= len(part)
            if left < 0:
                raise Corrupt(f"{len(data)} {name} bytes hold more than {limit}")
            parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _snappy_decompress(data: memoryview, limit: int) -> Buffer:
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _snappy_block(data, limit)
    parts = []
    at = len(_XERIAL_HEADER)
    while at < len(data):
        if data[at : at + len(_XERIAL_MAGIC)] == _XERIAL_MAGIC:  # streams may be joined
            at += len(_XERIAL_HEADER)
            continue
        [size] = _BLOCK_SIZE.unpack_from(data, at)
        at += _BLOCK_SIZE.size
        if size > len(data) - at:
            raise Corrupt(f"a snappy block of {size} bytes does not fit {len(data) - at}")
        part = _snappy_block(data[at : at + size], limit)
        limit -= len(part)
        parts.append(part)
        at += size
    return b"".join(parts)


def _snappy_block(data: memoryview, limit: int) -> Buffer:
    size = _snappy_size(data)
    if size > limit or size > len(data) * _SNAPPY_BEST_RATIO:
        raise Corrupt(f"{len(data)} snappy bytes cannot hold {size}, or more than {limit}")
    if size == 0:
        return b""
    return bytes(pa.Codec("snappy").decompress(data, decompressed_size=size, asbytes=True))


def _snappy_size(data: memoryview) -> int:
    """Raw snappy begins with its uncompressed size, as a varint."""
    size = 0
    for index in range(min(5, len(data))):
        byte = data[index]
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size
    raise Corrupt("a snappy block needs a size")


def _xerial_blocks(data: memoryview) -> Iterator[Buffer]:
    codec = pa.Codec("snappy")
    yield _XERIAL_HEADER
    for begin in range(0, len(data), _XERIAL_BLOCK):
        block = codec.compress(data[begin : begin + _XERIAL_BLOCK], asbytes=True)
        yield _BLOCK_SIZE.pack(len(block))
        yield block


def _lz4_frame(data: memoryview) -> Iterator[Buffer]:
    codec = pa.Codec("lz4_raw")
    yield _LZ4_HEADER
    for begin in range(0, len(data), _LZ4_BLOCK):
        plain = data[begin : begin + _LZ4_BLOCK]
        block = codec.compress(plain, asbytes=True)
        if len(block) < len(plain):
            yield _LZ4_BLOCK_SIZE.pack(len(block))
            yield block
        else:
            yield _LZ4_BLOCK_SIZE.pack(len(plain) | _LZ4_PLAIN)
            yield plain
    yield bytes(4)  # end of frame
