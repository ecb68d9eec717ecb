"""How programs say what they do: structlog on standard error, JSON unless a person is looking."""

import errno
import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict

# A program works on without its log: what it says of a full disk lies on that disk itself, as a rule.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _StandardError:
    """Standard error as it is when something is said: a test or a notebook may have put another in its place.

    Lines for which a disk has no room come late or never; the lines after them say how many those are.
    """

    def __init__(self) -> None:
        self._failed = 0
        self._is_cut = False

    def write(self, text: str) -> int:
        try:
            # What was cut has no end of its own.
            sys.stderr.write("\n" + text if self._is_cut else text)
            sys.stderr.flush()
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._failed += 1
            self._is_cut = True
        else:
            self._is_cut = False
        return len(text)

    def flush(self) -> None:
        """Each line was flushed when it was written."""

    def with_failed(self, _: object, __: str, event: EventDict) -> EventDict:
        """An event, with the number of lines that failed in this program."""
        return {**event, "lines_failed": self._failed} if self._failed else event


def configure_logs() -> None:
    """Short event names with fields; lines for a terminal, one JSON object a line otherwise."""
    person = sys.stderr.isatty()
    output = _StandardError()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            output.with_failed,
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, output)),
    )


def configure_server_logs() -> None:
    """What uvicorn says of itself, in the same form: warnings and errors, a line each."""
    server = logging.getLogger("uvicorn.error")
    server.handlers[:] = [_ToStructlog()]
    server.setLevel(logging.WARNING)
    server.propagate = False


class _ToStructlog(logging.Handler):
    """Passes records of the standard library's logging on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on; of a traceback, only what it ends with: our own layers log and tell the rest."""
        lines = record.getMessage().strip().splitlines()
        if lines:
            structlog.get_logger("uvicorn").log(record.levelno, lines[-1])
