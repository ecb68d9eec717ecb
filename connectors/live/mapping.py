"""A declared mapping of a live source's JSON messages to topics, as a TOML file says it (see ``docs/live.md``).

A path is keys and list positions joined by dots; within ``each`` it starts at the element, and at the message again
where it begins with ``$.``. ``when`` asks for values at paths: a text may have ``*``. In ``subscribe``,
``{symbols}`` is the JSON list of symbols, ``{symbol}`` makes one message a symbol, and ``${name}`` is a credential
of the settings.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from connectors.feeds.source import FeedError
from connectors.live.rates import Rate
from connectors.live.values import NS_PER_UNIT
from schemas.field import RECEIVE_TIME, TIMESTAMP
from schemas.registry import TOPICS, raw_topics
from schemas.topic import Topic

UNITS = (*NS_PER_UNIT, "iso", "received")

Scalar = str | bool | int | float


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldSource(_Model):
    """Where a field's value comes from.

    Parameters
    ----------
    path : str
        Path in the message; empty where ``value`` is given or the unit is ``received``.
    value : str, bool, int, float or None
        A constant.
    unit : str
        Of a time: ``s``, ``ms``, ``us``, ``ns``, ``iso``, or ``received`` for the receive time.
    map : dict of str to str
        What the source's words are here; a word that is not in it is an error.
    upper : bool
        Whether text is put in upper case.
    """

    path: str = ""
    value: Scalar | None = None
    unit: Literal["s", "ms", "us", "ns", "iso", "received", ""] = ""
    map: dict[str, str] = Field(default_factory=dict)
    upper: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = (self.path != "") + (self.value is not None) + (self.unit == "received")
        if origins != 1:
            raise ValueError('say one of path, value, and unit = "received"')
        return self


class MessageMapping(_Model):
    """Which messages are rows of a topic, and how.

    Parameters
    ----------
    topic : str
        A raw topic.
    when : dict of str to str, bool, int or float
        Values at paths that a message must have.
    each : str
        Path of a list, each element of which is a row; empty where the message is one.
    fields : dict of str to FieldSource
        By field of the topic.
    sequence : str
        Path of the message's sequence number; each is one more than the last of the same symbol.
    """

    topic: str
    when: dict[str, Scalar] = Field(default_factory=dict)
    each: str = ""
    fields: dict[str, FieldSource]
    sequence: str = ""

    @model_validator(mode="after")
    def _fits_the_topic(self) -> Self:
        known = {topic.name for topic in raw_topics()}
        if self.topic not in known:
            raise ValueError(f"topic {self.topic!r} is not one of {', '.join(sorted(known))}")
        names = {field.name: field for field in self.declared.fields}
        for name, source in self.fields.items():
            if name not in names or name == RECEIVE_TIME:
                raise ValueError(f"{self.topic} has no field {name!r} to be mapped")
            timed = names[name].type == TIMESTAMP
            if timed != bool(source.unit):
                raise ValueError(f"field {name!r}: a unit is for times, and needed for them")
        for field in self.declared.fields:
            needed = not field.nullable and field.default is None and field.name != RECEIVE_TIME
            if needed and field.name not in self.fields:
                raise ValueError(f"field {field.name!r} of {self.topic} is not mapped")
        return self

    @property
    def declared(self) -> Topic:
        """The topic."""
        return TOPICS[self.topic]


class ControlMapping(_Model):
    """Messages that are no rows.

    Parameters
    ----------
    when : dict of str to str, bool, int or float
        Values at paths that a message must have.
    kind : str
        ``ignore``, or the kind of feed event that it becomes.
    detail : str
        Path of what it says.
    fatal : bool
        Whether trying again is of no use.
    reply : str
        What to say to it.
    """

    when: dict[str, Scalar]
    kind: Literal["ignore", "subscribed", "venue_error"] = "ignore"
    detail: str = ""
    fatal: bool = False
    reply: str = ""


class RateSetting(_Model):
    """At most ``count`` within ``seconds``."""

    count: int = Field(ge=1)
    seconds: float = Field(gt=0)

    @property
    def rate(self) -> Rate:
        """The same for `rates.RateLimit`."""
        return Rate(count=self.count, seconds=self.seconds)


class LiveMapping(_Model):
    """A live source, declared.

    Parameters
    ----------
    name : str
        Of the source.
    url : str
        ``ws://`` or ``wss://``.
    symbols : tuple of str
        What to subscribe to, unless the command line says others.
    subscribe : tuple of str
        What to say on a new connection.
    headers : dict of str to str
        HTTP headers of the connection's opening; values may have ``${name}``.
    messages, control : tuple
        What messages mean. All entries of ``messages`` that fit give rows, in their order; a message that
        fits nothing is a dead letter.
    heartbeat_s, silence_s : float
        See `adapter.Limits`.
    connects, sends : RateSetting
        What the venue allows.
    on_gap : str
        ``go_on``, or ``reconnect`` where the venue gives a whole book to new subscribers.
    sequence_restarts : bool
        Whether sequence numbers begin anew on every connection.
    """

    name: str = Field(min_length=1)
    url: str = Field(pattern="^wss?://")
    symbols: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    headers: dict[str, str] = Field(default_factory=dict)
    messages: tuple[MessageMapping, ...] = Field(min_length=1)
    control: tuple[ControlMapping, ...] = ()
    heartbeat_s: float = Field(default=20.0, gt=0)
    silence_s: float = Field(default=0.0, ge=0)
    # Where a venue says nothing, a rate that none forbids.
    connects: RateSetting = RateSetting(count=10, seconds=60)
    sends: RateSetting = RateSetting(count=5, seconds=1)
    on_gap: Literal["go_on", "reconnect"] = "go_on"
    sequence_restarts: bool = False


def read_live_mapping(path: Path) -> LiveMapping:
    """The mapping that a TOML file declares.

    Raises
    ------
    FeedError
        Naming file and place, where it is no TOML or declares something that cannot be.
    """
    try:
        return LiveMapping(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FeedError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise FeedError(f"{path}: {told}") from error
