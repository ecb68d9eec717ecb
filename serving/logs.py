"""How programs say what they do: structlog on standard error, JSON unless a person is looking."""

import logging
import sys
from typing import TextIO, cast

import structlog


class _StandardError:
    """Standard error as it is when something is said: a test or a notebook may have put another in its place."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logs() -> None:
    """Short event names with fields; lines for a terminal, one JSON object a line otherwise."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _StandardError())),
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
