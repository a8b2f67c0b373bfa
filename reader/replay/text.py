"""Which bytes are text: columns of bytes as UTF-8 strings, and beside them what is not UTF-8. Whole columns at once."""

import pyarrow as pa
import pyarrow.compute as pc

# Unicode's table of well-formed sequences: RE2 reads binary columns byte by byte.
_UTF8 = (
    r"^(?:[\x00-\x7F]|[\xC2-\xDF][\x80-\xBF]|\xE0[\xA0-\xBF][\x80-\xBF]|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}"
    r"|\xED[\x80-\x9F][\x80-\xBF]|\xF0[\x90-\xBF][\x80-\xBF]{2}|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})*$"
)


def split_text(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A binary column as (strings, bytes): each value stands in one of the two and is null in the other."""
    try:
        return pc.cast(column, pa.string()), pa.nulls(len(column), pa.binary())
    except pa.ArrowInvalid:
        valid = pc.match_substring_regex(column, _UTF8)
    nothing = pa.scalar(None, pa.binary())
    return pc.cast(pc.if_else(valid, column, nothing), pa.string()), pc.if_else(valid, nothing, column)
