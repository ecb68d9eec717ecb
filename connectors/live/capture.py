"""The raw wire in a file, line by line: receive time in ns, a blank, the message. And back again.

It is the layout of the Binance captures that others publish, so that tools which read those read these. Where a source
counts anew on every connection, a line that is no JSON stands before the first message of each.
"""

import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, cast

from connectors.feeds.archive import ByteStream, line_blocks
from connectors.feeds.source import FeedError
from connectors.live.adapter import Message

_BLOCK_BYTES = 1 << 20
# Fast: the wire must not wait for its recording.
_GZIP_LEVEL = 1
# Of a receive time in ns.
_DIGITS_MOST = 19
_OPENED = b"# a new connection"


class CaptureWriter:
    """Writes a capture; packed where the name ends in ``.gz``.

    Parameters
    ----------
    path : pathlib.Path
        A file that is not there yet.

    Raises
    ------
    FeedError
        Where it is there already.
    """

    def __init__(self, path: Path) -> None:
        try:
            file = path.open("xb")
        except FileExistsError:
            raise FeedError(f"{path} is there already; name another file to capture to") from None
        self._path = path
        self._is_failed = False
        self._file: BinaryIO = file
        if path.suffix == ".gz":
            # No name and no time inside: the same wire gives the same bytes.
            packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)
            self._file = cast("BinaryIO", packed)
        self._under = file

    def write(self, messages: Sequence[Message]) -> None:
        """Write messages, and hand them to the operating system: a killed process loses none of them.

        Raises
        ------
        FeedError
            Where the disk does not take them, such as a full one.
        """
        if not messages:
            return
        lines = io.BytesIO()
        for message in messages:
            lines.write(b"%d %s\n" % (message.recv_ns, _one_line(message.payload)))
        try:
            self._file.write(lines.getvalue())
            self._file.flush()
            self._under.flush()
        except OSError as error:
            self._is_failed = True
            raise FeedError(
                f"{self._path}: the wire cannot be recorded: {error.strerror}; what the file did not take was not "
                "fed. Mend that, and name another file to capture to"
            ) from error

    def opened(self, now_ns: int) -> None:
        """Write that what follows comes over a new connection."""
        self.write([Message(number=0, recv_ns=now_ns, payload=_OPENED)])

    def close(self) -> None:
        """End the file."""
        # What found no room is tried once more, and has been told.
        with suppress(OSError) if self._is_failed else nullcontext():
            self._file.close()
        with suppress(OSError) if self._is_failed else nullcontext():
            self._under.close()


def read_capture(path: Path) -> Iterator[list[Message]]:
    """The messages of a capture, in blocks; a line that is none has a `Message.fault` or is `Message.opened`.

    Raises
    ------
    BrokenFileError
        Behind the last good block, where the file breaks off.
    """
    number = 0
    for block, _ in line_blocks(ByteStream(path), _BLOCK_BYTES):
        messages = []
        for line in block.splitlines():
            number += 1
            time, blank, payload = line.partition(b" ")
            if not blank or not time.isdigit() or len(time) > _DIGITS_MOST or int(time) >> 63:
                fault = "a receive time in ns, a blank and a message were needed"
                messages.append(Message(number=number, recv_ns=0, payload=line, fault=fault))
                continue
            is_opened = payload == _OPENED
            messages.append(
                Message(number=number, recv_ns=int(time), payload=payload, opened=is_opened)
            )
        yield messages


def _one_line(payload: bytes) -> bytes:
    """The message without line ends: in JSON they stand between values only, where a blank means the same."""
    if b"\n" in payload or b"\r" in payload:
        return payload.replace(b"\r", b" ").replace(b"\n", b" ")
    return payload
