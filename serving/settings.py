"""The settings: one object, declared and checked here; `serving.settings_sources` reads it."""

import difflib
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

PREFIX = "TAPEFLOW_"
CONFIG = "TAPEFLOW_CONFIG"
CONFIG_NAME = "tapeflow.toml"

_URLS = {
    # A lake is read only: receipt, audit, replay and tail take it as a log.
    "log": ("sqlite:///", "kafka://", "lake:///"),
    "store": ("chdb:///", "clickhouse://", "clickhouses://"),
    "lake": ("file:///",),
}


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
            "ports behind it: store +1, run +2, land +3, clock +4, feed +5, serve +6. None where it is empty"
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
    api_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Where `tapeflow serve` listens; beyond loopback it needs TLS, or `api_plain`",
    )
    api_port: int = Field(
        default=8000, ge=0, le=65_535, description="Port of `tapeflow serve`; 0 takes a free one"
    )
    api_tls_cert: str = Field(
        default="", description="File of the API's TLS certificate (PEM, with its chain)"
    )
    api_tls_key: str = Field(default="", description="File of that certificate's private key (PEM)")
    # Tokens and passwords in the clear are for a machine's own loopback only.
    api_plain: bool = Field(
        default=False,
        description="Serve beyond loopback without TLS: right behind a proxy that ends TLS, and nowhere else",
    )
    api_hosts: tuple[str, ...] = Field(
        default=(),
        description=(
            "More names by which the API may be asked for, with commas between them; `api_host`, "
            "`localhost` and loopback addresses always are. Others are refused, so that no page of another "
            "site gets at it by a name of its own"
        ),
    )
    api_proxies: str = Field(
        default="",
        description=(
            "Addresses of proxies, with commas, whose `X-Forwarded-For` and `-Proto` are believed"
        ),
    )
    api_rate: float = Field(
        default=1000.0,
        gt=0,
        le=1_000_000,
        description="Requests a second of one session or API key; twice as many at once",
    )
    api_streams: int = Field(
        default=256,
        ge=1,
        le=100_000,
        description="Streams that a user may have open at once, a WebSocket counted as one more",
    )
    api_access_s: int = Field(
        default=900,
        ge=10,
        le=86_400,
        description="How long an access token is good for, in seconds",
    )
    api_refresh_s: int = Field(
        default=604_800,
        ge=60,
        le=31_536_000,
        description="How long a session lasts without a refresh, in seconds; a dashboard's from its sign-in",
    )
    users: SecretStr = Field(
        default=SecretStr(""),
        description=(
            "Users, sessions and API keys: `sqlite:///PATH` or "
            "`postgresql://USER:PASSWORD@HOST/DATABASE`; `users.db` in `home`"
        ),
    )
    users_key: str = Field(
        default="",
        description=(
            "File of the key that signs tokens and seals second factors; the same for all API processes on "
            "one users database. `users.key` in `home`, made at the first start"
        ),
    )
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^$|^https?://[^\s@]+$",
        description=(
            "Where traces of the API's requests go (OTLP over HTTP), such as "
            "`http://127.0.0.1:4318/v1/traces`; needs `tapeflow[tracing]`. None where it is empty"
        ),
    )
    retention: dict[str, str] = Field(
        default={},
        description=(
            "How much of a topic stays in the log, a table: `[retention]` with lines such as `trades = "
            '"30d 50GB"` or `"forever"` (in the environment: JSON); what landed and nobody needs any '
            "more is cut. Without a line: ticks 7 days, `progress` (of flows: what replays are "
            "compared by) 7, feed events 30, all else for ever"
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

    @field_validator("run_flows", "api_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name for name in (part.strip() for part in value.split(",")) if name]
        return value

    @field_validator("users")
    @classmethod
    def _check_users(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and not url.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("schema_registry")
    @classmethod
    def _check_registry(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        try:
            parts = urlsplit(url)
            fine = not url or (bool(parts.hostname) and parts.port != 0)
        except ValueError:
            # What it says repeats a part of the password.
            fine = False
        if not fine:
            raise ValueError(
                "must be http[s]://[USER:PASSWORD@]HOST[:PORT]; in user and password, write %2F for /, %3F for "
                "?, %23 for # and %40 for @"
            )
        return value

    @field_validator("retention")
    @classmethod
    def _check_retention(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            # Few have a retention, and every program reads the settings.
            from connectors.retention import PROGRESS, Retention  # noqa: PLC0415
            from schemas.registry import TOPICS, inboxes  # noqa: PLC0415

            inbox_names = [topic.inbox_name for topic in inboxes().values()]
            known = [*TOPICS, *inbox_names, PROGRESS]
            if name not in known:
                raise ValueError(f"no topic {name!r}{nearest(name, known)}")
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

    @model_validator(mode="after")
    def _check_door(self) -> Self:
        if bool(self.api_tls_cert) != bool(self.api_tls_key):
            raise ValueError("api_tls_cert and api_tls_key belong together: set both, or neither")
        if not (self.api_tls_cert or self.api_plain or is_loopback(self.api_host)):
            raise ValueError(
                f"api_host = {self.api_host!r} is beyond loopback, where passwords and tokens would go in the "
                "clear: set api_tls_cert and api_tls_key, or api_plain behind a proxy that ends TLS"
            )
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
    def users_url(self) -> str:
        """Where users are; it may have a password."""
        return self.users.get_secret_value() or f"sqlite:///{self.home / 'users.db'}"

    @property
    def users_key_path(self) -> Path:
        """File of the key that signs tokens."""
        return Path(self.users_key or self.home / "users.key").expanduser()

    @property
    def receipt_heads_path(self) -> Path | None:
        """Folder where heads of receipts are written too; None for none."""
        return Path(self.receipt_heads).expanduser() if self.receipt_heads else None

    @property
    def logs_path(self) -> Path:
        """Folder of what the programs print when they are supervised."""
        return self.home / "logs"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def nearest(word: str, known: Iterable[str]) -> str:
    """Words that name the known one nearest to ``word``; none where nothing is known."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f"; the nearest known one is {close[0]!r}" if close else ""
