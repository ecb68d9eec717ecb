"""Reads the file of ``tapeflow replay --params``, which asks what other parameters would have given."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from flows.flow import Params
from serving.settings import Settings, SettingsError
from serving.settings_sources import flow_params


def params_of_file(settings: Settings, path: Path, names: Sequence[str] = ()) -> dict[str, Params]:
    """Parameters of the flows that a file names: what it says, the rest as in the settings.

    Parameters
    ----------
    settings : Settings
        Those of live flows.
    path : Path
        TOML with tables ``[flows.NAME]``, as ``tapeflow.toml`` has them.
    names : sequence of str
        Flows that are replayed; all where empty.

    Raises
    ------
    SettingsError
        Where it is no such file, or says something of a flow that is not replayed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    flows = values.pop("flows", {})
    if values or not isinstance(flows, dict) or not flows:
        other = f", not {', '.join(values)}" if values else ""
        raise SettingsError(f"{path}: tables [flows.NAME] are needed{other}")
    idle = sorted(flows.keys() - set(names)) if names else []
    if idle:
        raise SettingsError(f"{path}: [flows.{idle[0]}]: that flow is not replayed, {names} are")
    merged = {
        **settings.flows,
        **{name: {**settings.flows.get(name, {}), **table} for name, table in flows.items()},
    }
    try:
        return flow_params(settings.model_copy(update={"flows": merged}), sorted(flows))
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
