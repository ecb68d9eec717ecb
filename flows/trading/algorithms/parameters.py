"""Parameters of algorithms, as the JSON object of an order gives them: declared, checked, and told where they are wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.trading.interfaces import ONE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

SECOND_NS = 1_000_000_000

LARGEST = Decimal(10) ** 13
"""Quantities and prices of parameters are below, as those of orders are."""


class AlgorithmParams(BaseModel):
    """What all algorithms are told.

    Parameters
    ----------
    start : datetime, optional
        Market time from which on it works; when the order comes, if not given.
    end : datetime, optional
        Market time until which it works; the session's end, if not given.
    duration_seconds : float, optional
        Instead of ``end``: how long it works.
    completion : {"cross", "leave"}
        What becomes of what is left at the end: it crosses the spread, or is left.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: AwareDatetime | None = Field(
        default=None, description="market time, as in 2013-10-07T14:00:00Z"
    )
    end: AwareDatetime | None = Field(default=None, description="market time, later than start")
    duration_seconds: float | None = Field(
        default=None, gt=0, le=1e7, allow_inf_nan=False, description="seconds, in place of end"
    )
    completion: Literal["cross", "leave"] = Field(
        default="cross", description="cross or leave what is left at the end"
    )

    @model_validator(mode="after")
    def _times(self) -> Self:
        for name in ("start", "end"):
            time = getattr(self, name)
            if time is not None and not _FIRST <= time < _LAST:
                raise ValueError(f"{name} must be from 1970 to 2199")
        if self.end is not None and self.duration_seconds is not None:
            raise ValueError("end and duration_seconds say the same; give one of them")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end must be later than start")
        return self

    @property
    def start_ns(self) -> int | None:
        """Start, ns since 1970 UTC."""
        return None if self.start is None else _ns(self.start)

    def end_ns(self, begin_ns: int) -> int | None:
        """End, ns since 1970 UTC, of work that begins at a time; None where nothing is said."""
        if self.duration_seconds is not None:
            return begin_ns + int(self.duration_seconds * SECOND_NS)
        return None if self.end is None else _ns(self.end)


class PlannedParams(AlgorithmParams):
    """What algorithms are told that follow a plan.

    Parameters
    ----------
    slices : int
        Into how many equal times the plan is cut.
    style : {"passive", "cross"}
        Whether a slice's quantity rests at its own side's best price and crosses the spread only when the slice is
        over, or crosses at once.
    """

    slices: int = Field(default=12, ge=1, le=1_000, description="1 to 1000")
    style: Literal["passive", "cross"] = Field(default="passive", description="passive or cross")


def wrong_params(name: str, kind: type[AlgorithmParams], params: Mapping[str, Any]) -> str | None:
    """Why parameters cannot be used, with what is allowed; None if they can.

    Parameters
    ----------
    name : str
        Of the algorithm.
    kind : type
        Declaration of its parameters.
    params : mapping
        Any JSON object.
    """
    try:
        kind.model_validate(dict(params))
    except ValidationError as error:
        faults = "; ".join(_fault(one, kind) for one in error.errors(include_url=False))
        return f"parameters of {name}: {faults}"
    return None


def scaled(number: Decimal) -> int:
    """A decimal as an integer scaled by 10**10, rounded half-even."""
    return round(number * ONE)


def _fault(error: Any, kind: type[AlgorithmParams]) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    said: str = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{field} is not known; there are {', '.join(kind.model_fields)}"
    if not field:
        return said
    allowed = kind.model_fields[field].description
    return f"{field}: {said[:1].lower()}{said[1:]}" + (f" ({allowed})" if allowed else "")


def _ns(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1_000
