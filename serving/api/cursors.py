"""Where the next page of a list begins, as its client sends it back; what no page gave is refused, never an empty page."""

import base64
import binascii
import struct
import zlib

from serving.api.problems import ApiError
from serving.latest.history import Key

_KEY = struct.Struct(">qiqi")
# With 24 bytes of key it is 36 letters without padding; one damage in 16 million goes unseen.
_CHECK_BYTES = 3


def history_cursor(key: Key, topic: str, symbol: str) -> str:
    """The cursor behind a row of a symbol's history.

    Examples
    --------
    >>> history_key(history_cursor((5, 0, 7, 1), "trades", "AAPL"), "trades", "AAPL")
    (5, 0, 7, 1)
    """
    packed = _KEY.pack(*key)
    return base64.urlsafe_b64encode(packed + _check(packed, topic, symbol)).decode()


def history_key(cursor: str, topic: str, symbol: str) -> Key:
    """The row behind which a page of a symbol's history begins.

    Raises
    ------
    ApiError
        422 where no page of this symbol and topic gave the cursor.
    """
    try:
        # Without `validate` letters that are none of the alphabet would be passed over.
        said = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        packed = said[:-_CHECK_BYTES]
        time, partition, offset, row = _KEY.unpack(packed)
    except (struct.error, binascii.Error, UnicodeEncodeError) as error:
        raise unknown_cursor() from error
    if said[-_CHECK_BYTES:] != _check(packed, topic, symbol):
        raise unknown_cursor()
    return (time, partition, offset, row)


def unknown_cursor() -> ApiError:
    """What is said to a cursor that cannot be gone on from."""
    return ApiError(
        422,
        "cursor",
        "no page of this query gave this cursor: send `cursor` exactly as the page before had it, with the same "
        "account or symbol, or leave it out and begin anew",
    )


def _check(packed: bytes, topic: str, symbol: str) -> bytes:
    """Of the key and of what it is a key of: a cursor of another symbol would leave rows out."""
    told = zlib.crc32(b"\0".join((packed, topic.encode(), symbol.encode())))
    return told.to_bytes(4)[-_CHECK_BYTES:]
