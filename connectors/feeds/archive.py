"""The bytes of a feed file: plain, gzip, zstandard or a member of a zip, streamed, and cut into whole lines.

A truncated or damaged archive gives all it holds before the fault, and only then the error.
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard
from zlib_ng import zlib_ng

from connectors.feeds.source import BrokenFileError, FeedError, Probe

_READ_BYTES = 1 << 18
# The one error that zlib-ng raises (`zlib_ng.error`, as zlib's `zlib.error`); its stubs call it no exception. It
# unpacks twice as fast as zlib and takes the same calls.
_InflateError: type[Exception] = vars(zlib_ng)["error"]
# A damaged archive must not blow up one read: deflate can expand a thousandfold.
_INFLATE_BYTES = 1 << 21
_ZIP_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ZIP_MAGIC = b"PK\x03\x04"
_EMPTY_ZIP_MAGIC = b"PK\x05\x06"
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# A zstandard block of a few bytes may unpack to 128 KiB, and all that is given at once is unpacked.
_ZSTD_READ_BYTES = 1 << 12
# No line of market data is longer; what has no line ends must not fill the memory.
_LINE_BYTES = 1 << 26
_PARQUET_MAGIC = b"PAR1"
_STORED, _DEFLATED, _ENCRYPTED = 0, 8, 1
_PROBE_BYTES = 4096


def probe(path: Path) -> Probe:
    """What detection sees of a file.

    Raises
    ------
    FeedError
        Where the file is empty or cannot be read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise FeedError(f"{path} is empty: no bytes; delete it or fetch it again")
    if magic == _EMPTY_ZIP_MAGIC:
        raise FeedError(f"{path} is empty: a zip without a file in it; delete it or fetch it again")
    if magic == _PARQUET_MAGIC:
        return Probe(path=path, container="parquet", member="", first_line=b"")
    members = tuple(name for name, _ in _zip_members(path)) if magic == _ZIP_MAGIC else ()
    stream = ByteStream(path, members[0] if members else "")
    head = b""
    try:
        for chunk in stream:
            head += chunk
            if b"\n" in head or len(head) > _PROBE_BYTES:
                break
    except BrokenFileError:
        if not head:
            raise
    if not head:
        raise FeedError(f"{path} is empty: it holds no bytes unpacked; delete it or fetch it again")
    return Probe(
        path=path,
        container=stream.container,
        member=stream.member,
        first_line=head.split(b"\n", 1)[0].rstrip(b"\r"),
        members=members,
        head=head[:_PROBE_BYTES],
    )


class ByteStream:
    """A file's unpacked bytes in chunks; ``bytes_done`` counts those read of the file itself.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    member : str
        Of a zip the member that is wanted; empty where there is only one.

    Raises
    ------
    FeedError
        Where the zip has no such member, or several and none is named.
    """

    def __init__(self, path: Path, member: str = "") -> None:
        self.path = path
        self.bytes_total = path.stat().st_size
        self.bytes_done = 0
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == _ZIP_MAGIC:
            self.container = "zip"
            self._at, self.member = _zip_member(path, member)
        else:
            self.container = _container(magic)
            self.member = ""

    def __iter__(self) -> Iterator[bytes]:
        self.bytes_done = 0
        with self.path.open("rb") as file:
            if self.container == "zip":
                yield from self._unzip(file)
            elif self.container == "gzip":
                yield from self._gunzip(file)
            elif self.container == "zstd":
                yield from self._unzstd(file)
            else:
                yield from iter(lambda: self._read(file), b"")

    def _read(self, file: BinaryIO, size: int = _READ_BYTES) -> bytes:
        chunk = file.read(size)
        self.bytes_done = file.tell()
        return chunk

    def _inflate(self, file: BinaryIO, wbits: int, packed: bytes) -> Iterator[bytes]:
        """One deflate stream; afterwards ``self._rest`` is what follows it."""
        # Its stubs lack the copy.
        inflater: Any = zlib_ng.decompressobj(wbits)
        while not inflater.eof:
            if not packed:
                packed = self._read(file)
            if not packed:
                raise BrokenFileError(f"{self.path}: the {self.container} file is truncated")
            before = inflater.copy()
            try:
                data = inflater.decompress(packed, _INFLATE_BYTES)
            except _InflateError as error:
                yield _salvaged(before, packed)
                raise BrokenFileError(
                    f"{self.path}: the {self.container} file is damaged: {error}"
                ) from error
            packed = inflater.unconsumed_tail
            if data:
                yield data
        self._rest = inflater.unused_data

    def _gunzip(self, file: BinaryIO) -> Iterator[bytes]:
        packed = self._read(file)
        while packed:
            yield from self._inflate(file, zlib_ng.MAX_WBITS | 16, packed)
            # A gzip file may be several members; zero bytes may pad it (RFC 1952, gzip(1)).
            packed = (self._rest or self._read(file)).lstrip(b"\0")

    def _unzstd(self, file: BinaryIO) -> Iterator[bytes]:
        packed = self._read(file, _ZSTD_READ_BYTES)
        while packed:
            # One frame; a file may be several.
            inflater = zstandard.ZstdDecompressor().decompressobj()
            while not inflater.eof:
                if not packed:
                    packed = self._read(file, _ZSTD_READ_BYTES)
                if not packed:
                    raise BrokenFileError(f"{self.path}: the zstd file is truncated")
                try:
                    data = inflater.decompress(packed)
                except zstandard.ZstdError as error:
                    raise BrokenFileError(
                        f"{self.path}: the zstd file is damaged: {error}"
                    ) from error
                packed = b""
                if data:
                    yield data
            packed = inflater.unused_data or self._read(file, _ZSTD_READ_BYTES)

    def _unzip(self, file: BinaryIO) -> Iterator[bytes]:
        # A damaged directory may name any place.
        file.seek(max(0, self._at))
        header = file.read(_ZIP_HEADER.size)
        if len(header) < _ZIP_HEADER.size or not header.startswith(_ZIP_MAGIC):
            raise BrokenFileError(
                f"{self.path}: the zip file is damaged, member {self.member} is not where it should be"
            )
        _, _, flags, method, _, _, crc, packed_size, _, name_size, extra_size = _ZIP_HEADER.unpack(
            header
        )
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
            raise FeedError(
                f"{self.path}: member {self.member} is encrypted or packed by method {method}; "
                "only stored and deflated members can be read"
            )
        file.seek(name_size + extra_size, 1)
        found = 0
        chunks = (
            self._inflate(file, -zlib_ng.MAX_WBITS, b"")
            if method == _DEFLATED
            else self._stored(file, packed_size)
        )
        for chunk in chunks:
            found = zlib_ng.crc32(chunk, found)
            yield chunk
        # Bit 3: the checksum stands behind the data, and in the central directory.
        if not flags & 8 and crc != found:
            raise BrokenFileError(f"{self.path}: member {self.member} has a wrong checksum")
        if not zipfile.is_zipfile(self.path):
            raise BrokenFileError(f"{self.path}: the zip file is truncated (no central directory)")

    def _stored(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        while size:
            chunk = file.read(min(size, _READ_BYTES))
            self.bytes_done = file.tell()
            if not chunk:
                raise BrokenFileError(f"{self.path}: the zip file is truncated")
            size -= len(chunk)
            yield chunk


def line_blocks(stream: ByteStream, block_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole lines, each with the number (from 1) of its first line.

    Raises
    ------
    BrokenFileError
        Behind the last whole line before the fault, saying its number.
    """
    held: list[bytes] = []
    held_bytes = 0
    line = 1
    broken: BrokenFileError | None = None
    chunks = iter(stream)
    while True:
        try:
            chunk = next(chunks, b"")
        except BrokenFileError as error:
            broken = error
            chunk = b""
        held.append(chunk)
        held_bytes += len(chunk)
        if chunk and held_bytes < block_bytes:
            continue
        data = b"".join(held)
        cut = data.rfind(b"\n") + 1
        if chunk and not cut and len(data) > _LINE_BYTES:
            broken = BrokenFileError(f"{stream.path}: a line of more than {_LINE_BYTES >> 20} MiB")
            chunk = b""
        if not chunk and broken is None and cut < len(data):
            data += b"\n"
            cut = len(data)
        held, held_bytes = [data[cut:]], len(data) - cut
        if cut:
            block = data[:cut]
            yield block, line
            line += count_lines(block)
        if not chunk:
            break
    if broken is not None:
        raise BrokenFileError(f"{broken} behind line {line - 1}") from broken


def _container(magic: bytes) -> str:
    if magic == _ZSTD_MAGIC:
        return "zstd"
    return "gzip" if magic[:2] == _GZIP_MAGIC else "plain"


def _salvaged(inflater: Any, packed: bytes) -> bytes:
    """What a damaged chunk unpacks to before the fault: zlib drops it with the error."""
    data = b""
    try:
        for at in range(len(packed)):
            data += inflater.decompress(packed[at : at + 1])
    except _InflateError:
        return data
    return data


def count_lines(data: bytes) -> int:
    """How many line ends there are; `bytes.count` is slower where lines are short."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))


def _zip_member(path: Path, wanted: str) -> tuple[int, str]:
    """Offset and name of the member that is wanted, or of the one that there is."""
    members = _zip_members(path)
    if wanted:
        members = [(name, at) for name, at in members if name == wanted]
    if len(members) != 1:
        names = ", ".join(name for name, _ in members[:5])
        raise FeedError(
            f"{path}: a zip with one file {wanted or 'inside'} is needed, this has {len(members)}"
            f"{': ' + names if names else ''}; unpack it and feed the files"
        )
    [(name, at)] = members
    return at, name


def _zip_members(path: Path) -> list[tuple[str, int]]:
    """Names and offsets of the members; of the first one only where the central directory is lost."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [
                (member.filename, member.header_offset)
                for member in archive.infolist()
                # Not is_dir(): a damaged directory may hold an empty name.
                if not member.filename.endswith("/")
            ]
    except (zipfile.BadZipFile, NotImplementedError):
        # No central directory, or a damaged one: NotImplementedError is what zipfile has for one that says it is
        # of a newer kind than there is.
        with path.open("rb") as file:
            header = file.read(_ZIP_HEADER.size)
            if len(header) < _ZIP_HEADER.size:
                raise BrokenFileError(
                    f"{path}: the zip file is truncated within its header; fetch it again"
                ) from None
            name_size = _ZIP_HEADER.unpack(header)[9]
            return [(file.read(name_size).decode(errors="replace"), 0)]
