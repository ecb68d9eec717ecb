"""The settings: where they come from, what they must be, and what is said where they are not."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.catalog import catalog
from serving.settings import PREFIX, Settings, SettingsError
from serving.settings_sources import flow_params, load_settings, program_environment
from serving.up import supervisor_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_lies_in_the_home_unless_told_otherwise(folder: Path) -> None:
    settings = load_settings({})
    assert settings.home == folder / ".tapeflow"
    assert settings.log == f"sqlite:///{folder}/.tapeflow/log.db"
    assert settings.store == f"chdb:///{folder}/.tapeflow/store"
    assert settings.lake == f"file:///{folder}/.tapeflow/lake"
    assert settings.lake_path == folder / ".tapeflow" / "lake"
    assert settings.partitions == 1


def test_the_environment_goes_before_the_file(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text('partitions = 3\ncalendar = "XLON"\n')
    settings = load_settings({"TAPEFLOW_PARTITIONS": "4", "HOME": "elsewhere"})
    assert (settings.partitions, settings.calendar) == (4, "XLON")


def test_the_file_may_lie_elsewhere(folder: Path) -> None:
    path = folder / "other.toml"
    path.write_text('log = "kafka://127.0.0.1:9092"\n')
    assert load_settings({"TAPEFLOW_CONFIG": str(path)}).log == "kafka://127.0.0.1:9092"
    with pytest.raises(SettingsError, match=r"TAPEFLOW_CONFIG names gone\.toml, which is no file"):
        load_settings({"TAPEFLOW_CONFIG": "gone.toml"})


def test_an_unknown_key_of_the_file_is_an_error_that_names_the_nearest(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text("partition = 3\n")
    with pytest.raises(
        SettingsError,
        match=r"tapeflow\.toml: unknown setting 'partition'; the nearest known one is 'partitions'",
    ):
        load_settings({})


def test_an_unknown_variable_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(
        SettingsError,
        match=r"unknown setting TAPEFLOW_STOR; the nearest known one is 'TAPEFLOW_STORE'",
    ):
        load_settings({"TAPEFLOW_STOR": "chdb:///x"})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TAPEFLOW_PARTITIONS": "0"}, "TAPEFLOW_PARTITIONS: partitions = '0': .*greater than"),
        ({"TAPEFLOW_PARTITIONS": "two"}, "TAPEFLOW_PARTITIONS: partitions = 'two': .*integer"),
        ({"TAPEFLOW_LAKE_FLUSH_S": "-1"}, "TAPEFLOW_LAKE_FLUSH_S: lake_flush_s = '-1': .*greater"),
        ({"TAPEFLOW_LOG": "mysql://x"}, "TAPEFLOW_LOG: log = 'mysql://x' must begin with sqlite:"),
        ({"TAPEFLOW_FLOWS": "{"}, "TAPEFLOW_FLOWS must be a JSON object"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_an_error_that_names_its_place(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(environment)


def test_a_file_that_is_not_toml_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text("partitions: 3\n")
    with pytest.raises(SettingsError, match=r"tapeflow\.toml: not TOML"):
        load_settings({})


def test_a_value_in_the_file_is_told_with_the_file(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text("partitions = 5000\n")
    with pytest.raises(SettingsError, match=r"^tapeflow\.toml: partitions = 5000: .*1024"):
        load_settings({})


def test_parameters_of_flows_are_tables_of_the_file(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text('[flows.bars]\nintervals = ["5s"]\n')
    params = flow_params(load_settings({}), ["bars"])
    assert list(params) == ["bars"]
    assert list(params["bars"].intervals) == ["5s"]


def test_a_flow_that_there_is_not_is_an_error(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text("[flows.bar]\n")
    with pytest.raises(
        SettingsError, match=r"tapeflow\.toml: no flow 'bar'; the nearest known one is 'bars'"
    ):
        load_settings({})


def test_a_parameter_that_a_flow_has_not_is_an_error_that_names_the_nearest(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text('[flows.bars]\ninterval = ["1m"]\n')
    with pytest.raises(
        SettingsError,
        match=r"\[flows\.bars\]: unknown parameter 'interval'; the nearest known one is 'intervals'",
    ):
        load_settings({})


def test_every_flow_has_parameters_by_default() -> None:
    assert list(flow_params(load_settings({}))) == list(catalog())


def test_the_calendar_is_that_of_the_flows_unless_a_table_says_another(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text('calendar = "XLON"\n')
    assert flow_params(load_settings({}))["bars"].calendar == "XLON"
    (folder / "tapeflow.toml").write_text('calendar = "XLON"\n[flows.bars]\ncalendar = "24/7"\n')
    assert flow_params(load_settings({}))["bars"].calendar == "24/7"


def test_a_program_that_gets_the_environment_has_the_same_settings(folder: Path) -> None:
    (folder / "tapeflow.toml").write_text(
        'home = "data"\nlake_flush_s = 0.5\nworkers = 2\n[flows.bars]\nintervals = ["1s", "1m"]\n'
    )
    settings = load_settings({})
    passed = program_environment(settings)
    assert load_settings(passed) == settings
    assert {PREFIX + name.upper() for name in Settings.model_fields} <= set(passed)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings({}).partitions = 3


def test_flows_to_run_are_named_with_commas_and_known() -> None:
    assert load_settings({"TAPEFLOW_RUN_FLOWS": "bars, indicators"}).run_flows == (
        "bars",
        "indicators",
    )
    assert load_settings({}).run_flows == ()
    with pytest.raises(SettingsError, match=r"TAPEFLOW_RUN_FLOWS.*'barz'"):
        load_settings({"TAPEFLOW_RUN_FLOWS": "barz"})


def test_a_program_that_is_started_runs_the_same_flows() -> None:
    settings = load_settings({"TAPEFLOW_RUN_FLOWS": "bars,indicators"})
    given = program_environment(settings)
    known = {name: value for name, value in given.items() if name.startswith("TAPEFLOW_")}
    assert load_settings(known).run_flows == ("bars", "indicators")


def test_up_tells_nobody_but_its_flows_which_flows_run(folder: Path) -> None:
    """Whoever is told of a flow loads it, and numba with it."""
    (folder / "tapeflow.toml").write_text('[flows.bars]\nintervals = ["1s"]\n')
    settings = load_settings({"TAPEFLOW_RUN_FLOWS": "bars,indicators"})
    given = {one.name: one.environment for one in supervisor_of(settings, api=True)._programs}
    told = {
        program: load_settings({name: one for name, one in values.items() if PREFIX in name})
        for program, values in given.items()
    }
    assert told.keys() == {"store", "flows", "lander", "clock", "api"}
    assert [name for name, one in told.items() if one.run_flows] == ["flows"]
    assert [name for name, one in told.items() if one.flows] == ["flows"]
