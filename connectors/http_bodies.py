"""Bodies of HTTP requests and responses: their content encodings, and multipart forms."""

import gzip
import zlib
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP

import lz4.frame
import zstandard

from connectors.clickhouse_statement import StatementError

Part = Callable[[bytes], bytes]
End = Callable[[], bytes]


def decompress(body: bytes, encoding: str) -> bytes:
    """The body without its content encoding.

    Parameters
    ----------
    body : bytes
        As it came.
    encoding : str
        none, identity, gzip, deflate, zstd or lz4.

    Raises
    ------
    StatementError
        Where the encoding is another, or the bytes are not in it.
    """
    if encoding in {"none", "identity", ""}:
        return body
    try:
        if encoding == "gzip":
            return gzip.decompress(body)
        if encoding == "deflate":
            return zlib.decompress(body)
        if encoding == "zstd":
            with zstandard.ZstdDecompressor().stream_reader(
                body, read_across_frames=True
            ) as reader:
                return bytes(reader.read())
        if encoding == "lz4":
            return bytes(lz4.frame.decompress(body))
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, RuntimeError) as error:
        raise StatementError(
            f"Code: 354. DB::Exception: the body is not {encoding}: {error}"
        ) from error
    raise StatementError(
        f"Code: 354. DB::Exception: Content-Encoding {encoding!r} of a statement is not known; "
        "use gzip, deflate, zstd or lz4"
    )


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
    return "", _plain


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


def _plain() -> tuple[Part, End]:
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
