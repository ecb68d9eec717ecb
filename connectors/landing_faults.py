"""What ends the lander: a refusal told with table, token, range and what to do."""

import errno
from pathlib import Path

from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.chdb_engine import StoreError
from connectors.landings import Intent
from connectors.patience import GivenUpError
from connectors.store_refusals import advice

# A disk has room again when someone makes some.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_AGAIN = (
    "Nothing is lost: the range stays open, and the next start of the lander writes the same rows under the "
    "same token and file names"
)


class LandingError(StoreError):
    """A sink does not take a range; the message says which, where and what to do."""


def refused_by_store(intent: Intent, url: str, error: DatabaseError) -> LandingError:
    """The error for a range that ClickHouse will not have."""
    return LandingError(
        f"ClickHouse {_without_password(url)} refuses rows of table `{intent.topic}`: {error}; {_range(intent)}, "
        f"token {intent.token}. {advice(error)}. {_AGAIN}"
    )


def refused_by_disk(intent: Intent, lake: Path, error: OSError | GivenUpError) -> LandingError:
    """The error for a range that the lake's disk will not have."""
    found = lake_refuses(f"rows of `{intent.topic}`", lake, error)
    return LandingError(f"{found}; {_range(intent)}. {_AGAIN}")


def lake_refuses(what: str, lake: Path, error: OSError | GivenUpError) -> LandingError:
    """The error for something that the lake's disk will not have."""
    cause = error.__cause__ if isinstance(error, GivenUpError) else error
    full = isinstance(cause, OSError) and disk_cause(cause) is not None
    waited = f" for {error.failing_s:.1f} s" if isinstance(error, GivenUpError) else ""
    advice = (
        f"the disk has been full{waited}: make room"
        if full
        else "give this user the right to write"
    )
    return LandingError(
        f"lake {lake}: {what} cannot be written: {cause}; {advice}, and start again"
    )


def disk_cause(error: Exception) -> str | None:
    """A word for a disk that is full; None for every other failure of a disk."""
    return "disk full" if isinstance(error, OSError) and error.errno in _FULL else None


def _range(intent: Intent) -> str:
    spans = ", ".join(
        f"{intent.topic}[{span.partition}] offsets {span.start} to {span.end - 1}"
        for span in intent.spans
    )
    return f"range {spans}"


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    who, at, where = rest.rpartition("@")
    return f"{scheme}://{who.partition(':')[0]}{at}{where}"
