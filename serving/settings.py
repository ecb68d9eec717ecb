"""The settings: one object, read once from the environment and `tapeflow.toml`, checked at the start.

Nothing else reads the environment; everything below the programs receives values.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors.crash_points import CRASH_AT

PREFIX = "TAPEFLOW_"
CONFIG = "TAPEFLOW_CONFIG"
CONFIG_NAME = "tapeflow.toml"

# Read elsewhere, and no settings: which file to read, whether a supervisor watches this process (see
# `serving.supervisor`), what the tests must find, and the seed
# of their kills.
_OTHER_VARIABLES = (
    CONFIG,
    "TAPEFLOW_SUPERVISED",
    "TAPEFLOW_REQUIRE",
    "TAPEFLOW_CHAOS_SEED",
    CRASH_AT,
)

_URLS = {
    # A lake is read only: receipt, audit, replay and tail take it as a log.
    "log": ("sqlite:///", "kafka://", "lake:///"),
    "store": ("chdb:///", "clickhouse://", "clickhouses://"),
    "lake": ("file:///",),
}


_JSON_EXAMPLES = {
    "flows": '{"bars": {"intervals": ["1m"]}}',
    "credentials": '{"alpaca_key": "…", "alpaca_secret": "…"}',
    "retention": '{"trades": "30d", "quotes": "50GB"}',
    "kafka_options": '{"security.protocol": "SASL_SSL", "sasl.username": "…"}',
}
# What came may be a secret: no message repeats it.
_SECRET = ("credentials", "kafka_options", "schema_registry")


class SettingsError(ValueError):
    """A setting that is unknown or unusable; the message says which, where and how to mend it."""


class Settings(BaseModel):
    """All settings.

    Empty URLs are filled in from ``home``, and ``home`` is made absolute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        default=Path(".tapeflow"),
        description="Folder of everything the platform keeps, unless the next three say otherwise",
    )
    log: str = Field(
        default="",
        description="The topic log: `sqlite:///PATH` or `kafka://HOST:PORT`; `log.db` in `home`",
    )
    store: str = Field(
        default="",
        description=(
            "ClickHouse: `chdb:///PATH` or `clickhouse://USER:PASSWORD@HOST:8123/DATABASE`; "
            "`store` in `home`"
        ),
    )
    lake: str = Field(default="", description="The Parquet lake: `file:///PATH`; `lake` in `home`")
    partitions: int = Field(
        # One worker has nothing of a second shard, and every shard reads and commits for itself.
        default=1,
        ge=1,
        le=1024,
        description="Partitions of the topics, and so shards of the flows; fixed when topics are made",
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Worker threads that carry the flows' shards"
    )
    lake_flush_s: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="Longest time until a row is in the lake, in seconds",
    )
    # A source that stalls for longer has late rows for good; a quiet symbol only closes later.
    live_lateness_s: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="How far behind its source's newest row a live row may come, in seconds",
    )
    store_port: int = Field(
        default=0, ge=0, le=65_535, description="Port of `tapeflow store`; 0 takes a free one"
    )
    calendar: str = Field(
        default="XNYS",
        min_length=1,
        description="Trading calendar of sessions (a name of `exchange_calendars`, or `24/7`)",
    )
    credentials: dict[str, SecretStr] = Field(
        default={},
        description="Keys of live sources, a table: `[credentials]` (in the environment: JSON)",
    )
    metrics: str = Field(
        default="",
        pattern=r"^$|^[^\s/]+:[0-9]{1,5}$",
        description=(
            "`HOST:PORT` where `up` serves metrics for Prometheus (`/metrics`); the other programs take the "
            "ports behind it: store +1, run +2, land +3, clock +4, feed +5. None where it is empty"
        ),
    )
    held_rows: int = Field(
        default=1_000_000,
        ge=1,
        le=1_000_000_000,
        description=(
            "With so many rows of an input waiting for other inputs, a flow in order of event time reads no "
            "more of it until some are released; held rows are in memory"
        ),
    )
    # The log keeps what has not landed, so that a long wait loses nothing; without an end, a wrong address
    # would never be told.
    give_up_s: float = Field(
        default=3600.0,
        ge=0,
        le=31_536_000,
        description="How long a program tries again what was there and went away, in seconds, before it ends",
    )
    kafka_options: dict[str, SecretStr] = Field(
        default={},
        description=(
            "Options of librdkafka that the brokers ask for (SASL, TLS), a table: `[kafka_options]` (in "
            "the environment: JSON)"
        ),
    )
    schema_registry: SecretStr = Field(
        default=SecretStr(""),
        description=(
            "Registry of the schemas of foreign Avro records: `http[s]://[USER:PASSWORD@]HOST:PORT`; "
            "without one they are dead letters"
        ),
    )
    receipt_key: str = Field(
        default="",
        description="File of the private key that signs receipts; `receipt-key.pem` in `home`",
    )
    receipt_heads: str = Field(
        default="",
        description="Folder, best on another disk, where the head of every sealed receipt is written too",
    )
    receipt_every_s: float = Field(
        default=0.0,
        ge=0,
        le=2_592_000,
        description="How often `up` seals a receipt, in seconds; never where it is 0 (a key is needed first)",
    )
    retention: dict[str, str] = Field(
        default={},
        description=(
            "How much of a topic stays in the log, a table: `[retention]` with lines such as `trades = "
            '"30d 50GB"` (in the environment: JSON); what landed and nobody needs any more is cut'
        ),
    )
    run_flows: tuple[str, ...] = Field(
        default=(),
        description="Flows that `run` and `up` carry, with commas between them; all where it is empty",
    )
    flows: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Parameters of flows, a table each: `[flows.bars]` (in the environment: JSON)",
    )

    @field_validator("run_flows", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name for name in (part.strip() for part in value.split(",")) if name]
        return value

    @field_validator("schema_registry")
    @classmethod
    def _check_registry(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("retention")
    @classmethod
    def _check_retention(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            # Few have a retention, and every program reads the settings.
            from connectors.retention import Retention  # noqa: PLC0415
            from schemas.registry import TOPICS, inboxes  # noqa: PLC0415

            known = [*TOPICS, *(topic.inbox_name for topic in inboxes().values())]
            if name not in known:
                raise ValueError(f"no topic {name!r}{_nearest(name, known)}")
            Retention.of(text)
        return value

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        home = Path(values.get("home") or cls.model_fields["home"].default).expanduser().absolute()
        filled = {**values, "home": home}
        for name, url in (
            ("log", f"sqlite:///{home / 'log.db'}"),
            ("store", f"chdb:///{home / 'store'}"),
            ("lake", f"file:///{home / 'lake'}"),
        ):
            filled[name] = values.get(name) or url
        return filled

    @model_validator(mode="after")
    def _check_urls(self) -> Self:
        for name, starts in _URLS.items():
            url = getattr(self, name)
            if not url.startswith(starts):
                raise ValueError(f"{name} = {url!r} must begin with {' or '.join(starts)}")
        return self

    def moved(self, home: Path) -> "Settings":
        """These settings with another home; what lies in the old home lies in the new one."""
        values = self.model_dump()
        usual = Settings(home=self.home)
        for name in _URLS:
            if values[name] == getattr(usual, name):
                values[name] = ""
        return Settings(**{**values, "home": home})

    @property
    def lake_path(self) -> Path:
        """Folder of the lake."""
        return Path("/" + self.lake.removeprefix("file:///").lstrip("/"))

    @property
    def receipt_key_path(self) -> Path:
        """File of the private key that signs receipts."""
        return Path(self.receipt_key or self.home / "receipt-key.pem").expanduser()

    @property
    def receipt_heads_path(self) -> Path | None:
        """Folder where heads of receipts are written too; None for none."""
        return Path(self.receipt_heads).expanduser() if self.receipt_heads else None

    @property
    def logs_path(self) -> Path:
        """Folder of what the programs print when they are supervised."""
        return self.home / "logs"


def program_environment(settings: Settings) -> dict[str, str]:
    """The environment of a program that this one starts: the process's own, with these settings.

    The variable of the file is empty: the values here are what the file gave.
    """
    values = settings.model_dump(mode="json")
    tables = {name: values.pop(name) for name in ("flows", "retention")}
    values["run_flows"] = ",".join(settings.run_flows)
    # A program that is started feeds from no live source: it needs none, so it gets none.
    values["credentials"] = "{}"
    values["kafka_options"] = orjson.dumps(_revealed(settings.kafka_options)).decode()
    values["schema_registry"] = settings.schema_registry.get_secret_value()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    texts = {PREFIX + name.upper(): str(value) for name, value in values.items()}
    as_json = {PREFIX + name.upper(): orjson.dumps(one).decode() for name, one in tables.items()}
    return {**kept, **texts, **as_json, CONFIG: ""}


def _revealed(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items()}


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings that environment and file give; the environment goes before the file.

    Parameters
    ----------
    environment : mapping of str to str, optional
        In place of the process's own.

    Raises
    ------
    SettingsError
        For an unknown key, naming the nearest known one, or a value of the wrong type or range.
    """
    environment = os.environ if environment is None else environment
    path = _config_path(environment)
    values = {} if path is None else _from_file(path)
    from_environment = _from_environment(environment)
    try:
        settings = Settings(**{**values, **from_environment})
    except ValidationError as error:
        raise SettingsError(_told(error, path, from_environment)) from error
    _check_flows(settings, path, from_environment)
    _use_kafka_options(settings, _origin("kafka_options", path, from_environment))
    return settings


def flow_params(settings: Settings, names: Iterable[str] = ()) -> dict[str, Any]:
    """Parameters of flows by name: what the settings say, the rest by default.

    Parameters
    ----------
    settings : Settings
        A flow that has a parameter ``calendar`` gets the setting of that name unless its table says
        another.
    names : iterable of str
        Which flows; all where it is empty.

    Returns
    -------
    dict of str to flows.flow.Params

    Raises
    ------
    SettingsError
        For a flow that there is not, or a parameter that it has not or that is out of range.
    """
    from flows.catalog import catalog  # noqa: PLC0415 - flows bring numba; most programs need none

    known = catalog()
    unknown = [name for name in (*names, *settings.flows) if name not in known]
    if unknown:
        raise SettingsError(
            f"no flow {unknown[0]!r}{_nearest(unknown[0], known)}; there are {', '.join(known)}"
        )
    params = {}
    for name in names or known:
        kind = known[name].params_type
        values = dict(settings.flows.get(name, {}))
        if "calendar" in kind.model_fields:
            values.setdefault("calendar", settings.calendar)
        try:
            params[name] = kind(**values)
        except ValidationError as error:
            told = "; ".join(_sentence(one, kind.model_fields) for one in error.errors())
            raise SettingsError(f"[flows.{name}]: {told}") from error
    return params


def _config_path(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(CONFIG)
    if named == "":
        return None
    if named is not None:
        path = Path(named)
        if not path.is_file():
            raise SettingsError(f"{CONFIG} names {named}, which is no file")
        return path
    places = [Path(CONFIG_NAME)]
    home = environment.get(PREFIX + "HOME")
    if home:
        places.append(Path(home).expanduser() / CONFIG_NAME)
    return next((path for path in places if path.is_file()), None)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    for key in values:
        if key not in Settings.model_fields:
            raise SettingsError(
                f"{path}: unknown setting {key!r}{_nearest(key, Settings.model_fields)}"
            )
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    values: dict[str, Any] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES:
            continue
        if variable not in known:
            raise SettingsError(
                f"environment: unknown setting {variable}{_nearest(variable, (*known, CONFIG))}"
            )
        values[known[variable]] = value
    for name, example in _JSON_EXAMPLES.items():
        if name in values:
            try:
                values[name] = orjson.loads(values[name])
            except orjson.JSONDecodeError as error:
                raise SettingsError(
                    f"environment: {PREFIX}{name.upper()} must be a JSON object, such as {example}: {error}"
                ) from None
    return values


def _check_flows(
    settings: Settings, path: Path | None, from_environment: Mapping[str, Any]
) -> None:
    for name, told in (("flows", settings.flows), ("run_flows", settings.run_flows)):
        if told:
            try:
                flow_params(settings, told)
            except SettingsError as error:
                raise SettingsError(f"{_origin(name, path, from_environment)}: {error}") from error


def _use_kafka_options(settings: Settings, origin: str) -> None:
    """Tell the client of Kafka now: a log is opened by its URL alone, in many places."""
    if not settings.kafka_options:
        return
    if not settings.log.startswith("kafka://"):
        raise SettingsError(f"{origin}: they are of no use with log = {settings.log!r}")
    from connectors.kafka_options import use_options  # noqa: PLC0415 - most logs are not Kafka's
    from connectors.log import LogError  # noqa: PLC0415

    try:
        use_options(settings.log, _revealed(settings.kafka_options))
    except LogError as error:
        raise SettingsError(f"{origin}: {error}") from error


def _told(error: ValidationError, path: Path | None, from_environment: Mapping[str, Any]) -> str:
    lines = []
    for one in error.errors():
        name = str(one["loc"][0]) if one["loc"] else one["msg"].split(", ", 1)[-1].split(" ", 1)[0]
        origin = _origin(name, path, from_environment)
        lines.append(f"{origin}: {_sentence(one, Settings.model_fields)}")
    return "\n".join(lines)


def _origin(name: str, path: Path | None, from_environment: Mapping[str, Any]) -> str:
    if name in from_environment or path is None:
        return f"environment: {PREFIX}{name.upper()}"
    return str(path)


def _sentence(one: Any, known: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in one["loc"])
    if one["type"] == "extra_forbidden":
        return f"unknown parameter {where!r}{_nearest(where, known)}"
    text = str(one["msg"]).removeprefix("Value error, ")
    if where.startswith(_SECRET):
        return f"{where}: {text}"
    return f"{where} = {one['input']!r}: {text}" if where else text


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f"; the nearest known one is {close[0]!r}" if close else ""
