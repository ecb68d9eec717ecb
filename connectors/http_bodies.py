"""Bodies of HTTP requests and responses: their content encodings, and multipart forms."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP

import lz4.block
import lz4.frame
import zstandard

from connectors.clickhouse_statement import StatementError

Part = Callable[[bytes], bytes]
End = Callable[[], bytes]

# As ClickHouse's own max_compress_block_size.
_BLOCK_BYTES = 1 << 20
_BLOCK_HEAD = struct.Struct("<BII")
_LZ4_METHOD = 0x82


def decompress(body: bytes, encoding: str, most: int | None = None) -> bytes:
    """The body without its content encoding.

    Parameters
    ----------
    body : bytes
        As it came.
    encoding : str
        none, identity, gzip, deflate, zstd or lz4.
    most : int, optional
        Bytes that it may be at most.

    Raises
    ------
    StatementError
        Where the encoding is another, the bytes are not in it, or there are more.
    """
    if encoding in {"none", "identity", ""}:
        return _limited(body, most)
    if encoding not in _DECOMPRESSORS:
        raise StatementError(
            f"Code: 354. DB::Exception: Content-Encoding {encoding!r} of a statement is not known; "
            "use gzip, deflate, zstd or lz4"
        )
    try:
        # One more than there may be: a small body can stand for gigabytes.
        plain = _DECOMPRESSORS[encoding](body, -1 if most is None else most + 1)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, RuntimeError) as error:
        raise StatementError(
            f"Code: 354. DB::Exception: the body is not {encoding}: {error}"
        ) from error
    return _limited(plain, most)


def compressor(accepted: str) -> tuple[str, Callable[[], tuple[Part, End]]]:
    """The first encoding of an Accept-Encoding header that is known here, and its maker.

    Returns
    -------
    tuple of str and callable
        Name ("" for none), and what makes a pair of functions: for each part, and for the end.
    """
    for one in accepted.split(","):
        name = one.partition(";")[0].strip()
        if name in _COMPRESSORS:
            return name, _COMPRESSORS[name]
    return "", plain


def block_compressor() -> tuple[Part, End]:
    """ClickHouse's own compression, which ``compress=1`` asks for: blocks of LZ4, each behind its checksum.

    https://clickhouse.com/docs/en/native-protocol/compression: CityHash128 of what follows (16 bytes), the method
    (0x82), the block's size with these nine bytes of head, and its size before (both 4 bytes, little-endian).
    """
    # The hash is compiled code, which few clients need.
    from connectors.city_hash import city_hash_128  # noqa: PLC0415

    def part(data: bytes) -> bytes:
        blocks = []
        for at in range(0, len(data), _BLOCK_BYTES):
            plain = data[at : at + _BLOCK_BYTES]
            packed = lz4.block.compress(plain, store_size=False)
            block = (
                _BLOCK_HEAD.pack(_LZ4_METHOD, len(packed) + _BLOCK_HEAD.size, len(plain)) + packed
            )
            blocks += [city_hash_128(block), block]
        return b"".join(blocks)

    return part, lambda: b""


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Text fields of a multipart form.

    Raises
    ------
    StatementError
        For a file among the fields: ClickHouse's external tables are not spoken here.
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    fields = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None:
            raise StatementError(
                f"Code: 48. DB::Exception: external table {name!r}: not here; insert it into a "
                "temporary table of the session instead. (NOT_IMPLEMENTED)"
            )
        content = part.get_payload(decode=True)
        fields[str(name)] = content.decode() if isinstance(content, bytes) else ""
    return fields


def _limited(body: bytes, most: int | None) -> bytes:
    if most is not None and len(body) > most:
        raise StatementError(
            f"Code: 354. DB::Exception: the body of a statement has at most {most:,} bytes"
        )
    return body


def _from_gzip(body: bytes, most: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        return file.read(most)


def _from_deflate(body: bytes, most: int) -> bytes:
    coder = zlib.decompressobj()
    plain = coder.decompress(body, max(most, 0))
    if not coder.eof and not coder.unconsumed_tail:
        raise EOFError("it ends before its end")
    return plain


def _from_zstd(body: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
        return bytes(reader.read(most))


def _from_lz4(body: bytes, most: int) -> bytes:
    if most < 0:
        return bytes(lz4.frame.decompress(body))
    return bytes(lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=most))


def plain() -> tuple[Part, End]:
    """No compression at all."""
    return (lambda part: part), (lambda: b"")


def _gzip() -> tuple[Part, End]:
    coder = zlib.compressobj(level=1, wbits=31)
    return coder.compress, coder.flush


def _deflate() -> tuple[Part, End]:
    coder = zlib.compressobj(level=1)
    return coder.compress, coder.flush


def _zstd() -> tuple[Part, End]:
    coder = zstandard.ZstdCompressor(level=1).compressobj()
    return coder.compress, coder.flush


def _lz4() -> tuple[Part, End]:
    coder = lz4.frame.LZ4FrameCompressor()
    begun = coder.begin()
    heads = [begun]

    def part(block: bytes) -> bytes:
        head = heads.pop() if heads else b""
        return bytes(head + coder.compress(block))

    return part, lambda: bytes((heads.pop() if heads else b"") + coder.flush())


_COMPRESSORS = {"zstd": _zstd, "lz4": _lz4, "gzip": _gzip, "deflate": _deflate}
_DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _from_gzip,
    "deflate": _from_deflate,
    "zstd": _from_zstd,
    "lz4": _from_lz4,
}
