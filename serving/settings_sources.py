"""Where settings come from: the environment and `tapeflow.toml`, read once, at the start.

Nothing else reads the environment; everything below the programs receives values.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr, ValidationError

from connectors.crash_points import CRASH_AT
from serving.settings import CONFIG, CONFIG_NAME, PREFIX, Settings, SettingsError, nearest

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

_JSON_EXAMPLES = {
    "flows": '{"bars": {"intervals": ["1m"]}}',
    "credentials": '{"alpaca_key": "…", "alpaca_secret": "…"}',
    "retention": '{"trades": "30d", "quotes": "50GB"}',
    "kafka_options": '{"security.protocol": "SASL_SSL", "sasl.username": "…"}',
}
# What came may be a secret: no message repeats it.
_SECRET = ("credentials", "kafka_options", "schema_registry", "users")


def program_environment(settings: Settings) -> dict[str, str]:
    """The environment of a program that this one starts: the process's own, with these settings.

    The variable of the file is empty: the values here are what the file gave.
    """
    values = settings.model_dump(mode="json")
    tables = {name: values.pop(name) for name in ("flows", "retention")}
    for name in ("run_flows", "api_hosts"):
        values[name] = ",".join(getattr(settings, name))
    # A program that is started feeds from no live source: it needs none, so it gets none.
    values["credentials"] = "{}"
    values["kafka_options"] = orjson.dumps(_revealed(settings.kafka_options)).decode()
    values["schema_registry"] = settings.schema_registry.get_secret_value()
    values["users"] = settings.users.get_secret_value()
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
    from flows.catalog import catalog, flows_named  # noqa: PLC0415 - flows bring numba; most programs need none

    names = tuple(names)
    known = flows_named((*names, *settings.flows)) if names else catalog()
    unknown = [name for name in (*names, *settings.flows) if name not in known]
    if unknown:
        known = catalog()
        raise SettingsError(
            f"no flow {unknown[0]!r}{nearest(unknown[0], known)}; there are {', '.join(known)}"
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
                f"{path}: unknown setting {key!r}{nearest(key, Settings.model_fields)}"
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
                f"environment: unknown setting {variable}{nearest(variable, (*known, CONFIG))}"
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
        return f"unknown parameter {where!r}{nearest(where, known)}"
    text = str(one["msg"]).removeprefix("Value error, ")
    if where.startswith(_SECRET):
        return f"{where}: {text}"
    return f"{where} = {one['input']!r}: {text}" if where else text
