"""CRC-32C over all that a reader takes from a record segment: every column chunk, and the whole Parquet footer.

Parquet's own page checksums leave out page headers and the footer, where a turned bit can change what rows say. Two
entries of the footer's key-value metadata, written as zeros and filled in when the file is whole:

    cauce.chunks     eight hex digits a column chunk, row group by row group
    cauce.crc32c     the footer with these last eight digits as zeros: always the last entry, in every format version
"""

import mmap
import struct
from pathlib import Path

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import Corrupt
from infra.segment.footer import footer_bytes
from infra.store.port import Buffer

CHUNKS, CRC = "cauce.chunks", "cauce.crc32c"
_DIGITS = 8
_TRAILER_BYTES = 8  # footer length and magic
_STRING = b"\x18"  # a KeyValue's fields in Thrift's compact protocol: the next field, a string
_SIGN = _STRING + bytes([len(CRC)]) + CRC.encode() + _STRING + bytes([_DIGITS])


def blank_entries(chunks: int) -> dict[str, str]:
    """The entries to put last into the footer of a segment with so many column chunks; `seal` fills them in."""
    return {CHUNKS: "0" * (_DIGITS * chunks), CRC: "0" * _DIGITS}


def seal(path: Path) -> None:
    """Fill in the CRCs of a complete file. Blocks."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as body:
        begin = len(body) - footer_bytes(str(path), body[-_TRAILER_BYTES:])
        with memoryview(body) as view:
            metadata = read_footer_metadata(view[begin:])
            digits = "".join(
                f"{crc32c.crc32c(view[position : position + size]):08x}"
                for number in range(metadata.num_row_groups)
                for position, size in chunk_ranges(metadata, number)
            ).encode()
            value = body.rfind(CHUNKS.encode() + _STRING + _varint(len(digits))) + len(CHUNKS) + 1
            value += len(_varint(len(digits)))
            view[value : value + len(digits)] = digits
            crc = body.rfind(_SIGN) + len(_SIGN)
            view[crc : crc + _DIGITS] = f"{crc32c.crc32c(view[begin:-_TRAILER_BYTES]):08x}".encode()


def check_footer(footer: Buffer) -> None:
    """Raise `Corrupt` unless a footer (with Parquet's trailer) is as it was sealed."""
    plain = bytearray(memoryview(footer)[:-_TRAILER_BYTES])
    at = plain.rfind(_SIGN) + len(_SIGN)
    if at < len(_SIGN):
        raise Corrupt("the footer has no CRC-32C")
    stated = bytes(plain[at : at + _DIGITS])
    plain[at : at + _DIGITS] = b"0" * _DIGITS
    if f"{crc32c.crc32c(plain):08x}".encode() != stated:
        raise Corrupt("the footer's CRC-32C is another one")


def read_footer_metadata(footer: Buffer) -> pq.FileMetaData:
    """What pyarrow makes of a footer. Raises pyarrow's errors."""
    # The parser wants a file that begins as one; it looks at nothing between.
    return pq.read_metadata(pa.BufferReader(b"".join((b"PAR1", footer))))


def chunk_ranges(metadata: pq.FileMetaData, number: int) -> list[tuple[int, int]]:
    """Position and size of each column chunk of a row group, in the order of columns. Dictionaries are not written."""
    group = metadata.row_group(number)
    columns = [group.column(at) for at in range(metadata.num_columns)]
    return [(column.data_page_offset, column.total_compressed_size) for column in columns]


def chunk_checksums(entries: dict[bytes, bytes], groups: int, columns: int) -> tuple[tuple[int, ...], ...]:
    """The CRC-32C of each column chunk of each row group. Raises `Corrupt`, `ValueError`."""
    digits = bytes.fromhex(entries[CHUNKS.encode()].decode())
    if len(digits) != groups * columns * 4:
        raise Corrupt(f"{groups} row groups of {columns} columns have other checksums than {len(digits) // 4}")
    row = struct.Struct(f">{columns}I")
    return tuple(row.unpack_from(digits, number * row.size) for number in range(groups))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
