"""Indicators against TA-Lib on real and adversarial bars, and over cuts, restarts and sessions."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from flows.flow import Emit, FlowError
from flows.indicators import Indicators, IndicatorsParams
from flows.kernels.indicators.patterns import PATTERNS
from flows.kernels.indicators.registry import DEFAULT_INDICATORS, INDICATORS, choose
from schemas.bars import BARS
from tests.flows.indicator_series import MINUTE, NOON, SERIES, Series, flat, ohlc, sessions
from tests.flows.kernels.indicator_references import REFERENCES
from tests.flows.trades import constant, cuts, plain, rows_of, watermarks

# Bars that are enough where a reference takes its time.
SHORT = 3_000


def bars(
    series: Series, *, symbol: str = "A", interval: str = "1m", start: int = NOON
) -> pa.RecordBatch:
    """Bars of a series, NaN as null."""
    n = len(series["close"])
    ends = start + MINUTE * np.arange(1, n + 1)
    columns = {
        name: pa.array(values, mask=np.isnan(values))
        for name, values in {"vwap": series["close"], **series}.items()
        if name != "session"
    }
    return BARS.batch(
        {
            "symbol": constant(symbol, n),
            "interval": constant(interval, n),
            "ts_event": ends,
            "ts_start": ends - MINUTE,
            "trade_count": np.ones(n, dtype=np.int64),
            "buy_volume": np.zeros(n),
            "sell_volume": np.zeros(n),
            **columns,
        }
    )


def values(flow: Indicators, *batches: pa.RecordBatch) -> dict[str, np.ndarray]:
    """Values by name in order of the bars, NaN for null."""
    parts = [
        e.batch for batch in batches for e in flow.on_rows(rows_of(batch)) if isinstance(e, Emit)
    ]
    names = np.concatenate(
        [part.column("name").cast(pa.string()).to_numpy(False) for part in parts]
    )
    found = np.concatenate([part.column("value").to_numpy(zero_copy_only=False) for part in parts])
    return {name: found[names == name] for name in dict.fromkeys(names)}


# Those whose values are TA-Lib's to the bit since the first release; the others are within a tolerance.
EXACT = ("sma", "ema", "wma", "rsi", "macd", "bbands", "stoch", "adx", "atr", "cci", "obv")

DEFAULTS = tuple(indicator.default_name for indicator in INDICATORS.values())

OTHERS = (
    "sma_1",
    "sma_200",
    "ema_1",
    "ema_200",
    "wma_1",
    "wma_2",
    "wma_50",
    "rsi_2",
    "macd_3_2_1",
    "macd_26_12_9",
    "bbands_2_1",
    "bbands_5_2.5",
    "stoch_1_1_1",
    "stoch_5_1_3",
    "adx_2",
    "atr_1",
    "cci_2",
    "dema_1",
    "tema_1",
    "t3_1_0.7",
    "t3_8_0.5",
    "rma_1",
    "kama_2",
    "hma_1",
    "hma_2",
    "hma_3",
    "hma_55",
    "alma_1_0.5_2",
    "alma_20_0.5_4",
    "vwma_2",
    "apo_26_12",
    "ppo_5_6",
    "ao_3_7",
    "dpo_3",
    "dpo_11",
    "trix_1",
    "tsi_3_2",
    "kst_3_2_5_1_2_3_1_4_2",
    "stc_5_10_4",
    "mom_1",
    "roc_1",
    "cmo_2",
    "stochf_5_1",
    "stochrsi_2_1_1",
    "willr_2",
    "fisher_1",
    "ultosc_5_5_5",
    "ultosc_10_3_10",
    "ultosc_1_2_3",
    "di_2",
    "dx_2",
    "aroon_2",
    "aroon_50",
    "vortex_2",
    "sar_0.1_0.05",
    "sar_0.05_0.3",
    "supertrend_2_0",
    "linreg_slope_2",
    "natr_2",
    "kc_5_10_1.5",
    "donchian_2",
    "chandelier_5_1",
    "ichimoku_3_5_4",
    "chop_2",
    "adosc_10_3",
    "cmf_2",
    "mfi_2",
    "efi_1",
    "rv_close_2",
    "rv_parkinson_1",
    "rv_garman_klass_1",
    "rv_yang_zhang_2",
    "ulcer_1",
    "zscore_2",
    "hurst_32",
)


def assert_equals_reference(name: str, given: Series) -> None:
    """To the bit for the first release's, to 1e-9 relative (or 1e-11 of the largest value) for the others."""
    chosen = choose(name)
    flow = Indicators(IndicatorsParams(indicators=(name,), intervals=("1m",)), None)
    found = values(flow, bars(given))
    parameters = [
        int(value) if parameter.whole else value
        for value, parameter in zip(chosen.parameters, chosen.indicator.parameters, strict=True)
    ]
    references = REFERENCES[chosen.indicator.name](given, *parameters)
    for output, reference, warm_up in zip(chosen.outputs, references, chosen.warm_ups, strict=True):
        expected = np.where(np.isfinite(reference), reference, np.nan)
        if chosen.indicator.name in EXACT:
            np.testing.assert_array_equal(found[output], expected, err_msg=output)
        else:
            scale = np.nanmax(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(
                found[output], expected, rtol=1e-9, atol=1e-11 * scale, err_msg=output
            )
        assert np.isnan(found[output][:warm_up]).all()


@pytest.mark.parametrize("name", [n for n in (*DEFAULTS, *OTHERS) if n != "pivots"])
def test_the_first_values_come_after_the_warm_up_declared(name: str) -> None:
    chosen = choose(name)
    given = {key: column[:300] for key, column in SERIES["walk"].items()}
    flow = Indicators(IndicatorsParams(indicators=(name,), intervals=("1m",)), None)
    found = values(flow, bars(given))
    for output, warm_up in zip(chosen.outputs, chosen.warm_ups, strict=True):
        assert np.flatnonzero(~np.isnan(found[output]))[0] == warm_up


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("name", [n for n in (*DEFAULTS, *OTHERS) if n != "vwap_session"])
def test_values_are_those_of_talib_or_of_the_definition(name: str, kind: str) -> None:
    given = SERIES[kind]
    if choose(name).indicator.name not in (*EXACT, "cdl"):
        given = given if len(given["close"]) <= SHORT else {k: v[:SHORT] for k, v in given.items()}
    assert_equals_reference(name, given)


def test_the_series_of_candles_have_every_pattern_that_talib_finds_in_any() -> None:
    names = [f"cdl_{name}" for name in PATTERNS]
    flow = Indicators(IndicatorsParams(indicators=names, intervals=("1m",)), None)
    found = values(flow, bars(SERIES["candles"]))
    assert {name for name in names if not np.nan_to_num(found[name]).any()} == set()


def test_one_output_of_an_indicator_can_be_chosen() -> None:
    names = ("bbands_20_2_lower", "sma_5", "cdl_doji", "bbands_20_2_upper")
    given = {key: column[:200] for key, column in SERIES["walk"].items()}
    found = values(Indicators(IndicatorsParams(indicators=names), None), bars(given))
    assert tuple(found) == names
    whole = IndicatorsParams(indicators=("bbands_20_2", "cdl"))
    expected = values(Indicators(whole, None), bars(given))
    for name in (names[0], names[2], names[3]):
        np.testing.assert_array_equal(found[name], expected[name])


def test_every_indicator_has_a_reference() -> None:
    assert set(REFERENCES) | {"vwap_session"} == set(INDICATORS)
    assert len(INDICATORS) >= 60


@pytest.mark.shared
@pytest.mark.parametrize("symbol", ["aig", "bac", "ibm", "spy"])
def test_values_on_real_minute_bars_are_those_of_the_reference(shared: Path, symbol: str) -> None:
    parts = []
    for path in sorted((shared / "ohlcv/us_equity_bars/minute" / symbol).glob("*_trade.zip")):
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            names = ["ms", "open", "high", "low", "close", "volume"]
            parts.append(pa_csv.read_csv(file, pa_csv.ReadOptions(column_names=names)))
    table = pa.concat_tables(parts)
    given = {name: table[name].to_numpy() / 10_000 for name in ("open", "high", "low", "close")}
    given["volume"] = table["volume"].to_numpy().astype(float)
    given["session"] = sessions(len(given["close"]))
    for name in DEFAULTS:
        if name != "vwap_session":
            assert_equals_reference(name, given)


def test_the_default_set_is_the_twelve_of_the_first_release() -> None:
    assert DEFAULT_INDICATORS == (
        "sma_20",
        "ema_20",
        "wma_20",
        "rsi_14",
        "macd_12_26_9",
        "bbands_20_2",
        "stoch_14_3_3",
        "adx_14",
        "atr_14",
        "cci_20",
        "obv",
        "vwap_session",
    )


def test_all_chooses_every_indicator() -> None:
    assert IndicatorsParams(indicators="all").indicators == DEFAULTS
    assert IndicatorsParams(indicators=["all", "rsi_21"]).indicators == (*DEFAULTS, "rsi_21")


def test_session_vwap_begins_anew_with_each_session_of_the_symbols_calendar() -> None:
    n = 40 * 60
    rng = np.random.default_rng(1)
    given = {**ohlc(rng.uniform(9, 11, n)), "vwap": rng.uniform(9, 11, n)}
    params = IndicatorsParams(
        indicators=("vwap_session",), intervals=("1m",), calendars={"C": "24/7"}
    )
    for symbol, hour in (("A", 12), ("C", 8)):
        found = values(Indicators(params, None), bars(given, symbol=symbol))["vwap_session"]
        expected = np.empty(n)
        turnover = volume = 0.0
        for i in range(n):
            if i % (24 * 60) == hour * 60:
                turnover = volume = 0.0
            turnover += given["vwap"][i] * given["volume"][i]
            volume += given["volume"][i]
            expected[i] = turnover / volume
        np.testing.assert_array_equal(found, expected)


def test_a_bar_without_a_close_changes_nothing_and_its_values_are_null() -> None:
    given = SERIES["walk"]
    part = {name: column[:400].copy() for name, column in given.items()}
    holes = np.arange(50, 400, 7)
    holed = {name: np.insert(column, holes, np.nan) for name, column in part.items()}
    holed["volume"][np.isnan(holed["volume"])] = 5.0
    is_hole = np.isnan(holed["close"])
    names = tuple(name for name in DEFAULT_INDICATORS if name != "vwap_session")
    params = IndicatorsParams(indicators=names)
    whole = values(Indicators(params, None), bars(part))
    found = values(Indicators(params, None), bars(holed))
    for name, expected in whole.items():
        np.testing.assert_array_equal(found[name][~is_hole], expected)
        assert np.isnan(found[name][is_hole]).all()


def test_infinity_and_nan_are_never_written() -> None:
    given = flat(np.array([1e200, 1e308, 1.0, 1e308, 2.0] * 20), 1e308)
    flow = Indicators(IndicatorsParams(), None)
    (emitted,) = flow.on_rows(rows_of(bars(given)))
    column = emitted.batch.column("value")
    assert np.isfinite(column.drop_null().to_numpy()).all()


def test_rows_are_in_order_of_the_bars_and_each_has_all_names() -> None:
    names = ("sma_2", "macd_12_26_9", "obv")
    flow = Indicators(IndicatorsParams(indicators=names), None)
    given = {name: column[:3] for name, column in SERIES["walk"].items()}
    (emitted,) = flow.on_rows(rows_of(bars(given)))
    rows = plain(emitted.batch)
    outputs = ["sma_2", "macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_hist", "obv"]
    assert [row["name"] for row in rows] == outputs * 3
    assert [row["ts_event"] for row in rows[::5]] == [NOON + MINUTE * k for k in (1, 2, 3)]
    assert {row["symbol"] for row in rows} == {"A"}
    assert {row["interval"] for row in rows} == {"1m"}


def test_bars_of_other_intervals_give_nothing() -> None:
    flow = Indicators(IndicatorsParams(), None)
    before = flow.snapshot()
    assert flow.on_rows(rows_of(bars(SERIES["constant"], interval="1s"))) == []
    assert flow.on_watermark(watermarks(["A"], [NOON])) == []
    assert flow.snapshot() == before


def mixed(n: int) -> pa.RecordBatch:
    """Bars of three symbols and two intervals, one after the other in turn."""
    parts = []
    for symbol in "ABC":
        for interval in ("1m", "5m"):
            given = ohlc(np.random.default_rng(ord(symbol)).uniform(1, 2, n), len(parts))
            parts.append(bars(given, symbol=symbol, interval=interval))
    table = pa.Table.from_batches(parts).combine_chunks()
    turns = np.arange(6 * n).reshape(6, n).T.reshape(-1)
    (batch,) = table.take(turns).combine_chunks().to_batches()
    return batch


@pytest.mark.parametrize("every", [1, 7, 64])
@pytest.mark.parametrize("restart", ["restarted", "not restarted"])
def test_cuts_and_restarts_do_not_change_a_value(every: int, restart: str) -> None:
    batch = mixed(120)
    params = IndicatorsParams()
    whole = Indicators(params, None)
    (emitted,) = whole.on_rows(rows_of(batch))
    flow = Indicators(params, None)
    found: list[dict[str, object]] = []
    for part in cuts(batch, range(0, batch.num_rows, every)):
        found += [row for e in flow.on_rows(rows_of(part)) for row in plain(e.batch)]
        if restart == "restarted":
            flow = Indicators(params, flow.snapshot())
    assert found == plain(emitted.batch)
    assert flow.snapshot() == whole.snapshot()


def test_symbols_and_intervals_do_not_touch_each_other() -> None:
    batch = mixed(60)
    (emitted,) = Indicators(IndicatorsParams(), None).on_rows(rows_of(batch))
    of_b = [row for row in plain(emitted.batch) if row["symbol"] == "B" and row["interval"] == "5m"]
    only = batch.filter(
        pa.compute.and_(
            pa.compute.equal(batch.column("symbol"), "B"),
            pa.compute.equal(batch.column("interval"), "5m"),
        )
    )
    (alone,) = Indicators(IndicatorsParams(), None).on_rows(rows_of(only))
    assert of_b == plain(alone.batch)


def test_one_key_more_than_max_keys_is_an_error_that_says_what_to_raise() -> None:
    flow = Indicators(IndicatorsParams(max_keys=2), None)
    with pytest.raises(FlowError, match="'C' is one more than max_keys = 2"):
        flow.on_rows(rows_of(mixed(2)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rsx_14", "'rsx_14' is not known; there are .*sma_20, ema_20"),
        ("rsi", "has 0 parameters where rsi needs 1 \\(period\\), as in rsi_14"),
        ("rsi_14_3", "has 2 parameters"),
        ("rsi_1", "period must be a whole number from 2"),
        ("rsi_14.5", "period must be a whole number"),
        ("rsi_014", "plainly written"),
        ("rsi_200000", "to 100000"),
        ("bbands_20_x", "deviations must be a number"),
        ("bbands_20_nan", "deviations must be a number"),
        ("obv_3", "has 1 parameters where obv needs 0 \\(none\\), as in obv"),
    ],
)
def test_a_name_that_does_not_fit_says_what_is_needed(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IndicatorsParams(indicators=(name,))


def test_an_indicator_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice there: \\['obv'\\]"):
        IndicatorsParams(indicators=("obv", "obv"))
