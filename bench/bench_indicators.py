"""Every indicator beside TA-Lib's own batch call on the same bars, and all of them through the flow.

500 symbols have a day of 1-minute bars each, made by a seeded walk. TA-Lib gets each symbol's whole series in one
call; our kernel gets the same bars, symbol after symbol, in one. The flow gets them as they come in live trading:
minute by minute, a batch being one minute of all symbols. All times are of the processor, so that what else the
machine does is not in them.
"""

from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import talib

from bench.report import Result
from flows.flow import InputRows, Rows
from flows.indicators import Indicators, IndicatorsParams
from flows.kernels.indicators.declaration import BAR_COLUMNS
from flows.kernels.indicators.patterns import PATTERNS
from flows.kernels.indicators.registry import DEFAULT_INDICATORS, INDICATORS, choose
from schemas.arrays import Floats
from schemas.bars import BARS

SYMBOLS = 500
BARS_A_DAY = 390
START_NS = 1_381_152_600 * 10**9  # 2013-10-07 13:30 UTC: the opening in New York
MINUTE_NS = 60 * 10**9

Series = dict[str, Floats]

# TA-Lib's numbers of its means.
_SIMPLE: Any = 0
_EXPONENTIAL: Any = 1

_PATTERN_CALLS = [getattr(talib, f"CDL{name.upper()}") for name in PATTERNS]

# TA-Lib's call of each indicator that it has, with the parameters of the default name.
CALLS: dict[str, Callable[[Series], object]] = {
    "sma": lambda b: talib.SMA(b["close"], 20),
    "ema": lambda b: talib.EMA(b["close"], 20),
    "wma": lambda b: talib.WMA(b["close"], 20),
    "rsi": lambda b: talib.RSI(b["close"], 14),
    "macd": lambda b: talib.MACD(b["close"], 12, 26, 9),
    "bbands": lambda b: talib.BBANDS(b["close"], 20, 2, 2),
    "stoch": lambda b: talib.STOCH(b["high"], b["low"], b["close"], 14, 3, _SIMPLE, 3, _SIMPLE),
    "adx": lambda b: talib.ADX(b["high"], b["low"], b["close"], 14),
    "atr": lambda b: talib.ATR(b["high"], b["low"], b["close"], 14),
    "cci": lambda b: talib.CCI(b["high"], b["low"], b["close"], 20),
    "obv": lambda b: talib.OBV(b["close"], b["volume"]),
    "dema": lambda b: talib.DEMA(b["close"], 20),
    "tema": lambda b: talib.TEMA(b["close"], 20),
    "t3": lambda b: talib.T3(b["close"], 5, 0.7),
    "rma": lambda b: talib.RMA(b["close"], 14),
    "kama": lambda b: talib.KAMA(b["close"], 30),
    "hma": lambda b: talib.HMA(b["close"], 20),
    "vwma": lambda b: talib.VWMA(b["close"], b["volume"], 20),
    "apo": lambda b: talib.APO(b["close"], 12, 26, _EXPONENTIAL),
    "ppo": lambda b: talib.PPO(b["close"], 12, 26, _EXPONENTIAL),
    "pvo": lambda b: talib.PVO(b["volume"], 12, 26, _EXPONENTIAL),
    "ao": lambda b: talib.AO(b["high"], b["low"], 5, 34),
    "dpo": lambda b: talib.DPO(b["close"], 20),
    "trix": lambda b: talib.TRIX(b["close"], 15),
    "tsi": lambda b: talib.TSI(b["close"], 25, 13),
    "mom": lambda b: talib.MOM(b["close"], 10),
    "roc": lambda b: talib.ROC(b["close"], 10),
    "cmo": lambda b: talib.CMO(b["close"], 14),
    "bop": lambda b: talib.BOP(b["open"], b["high"], b["low"], b["close"]),
    "stochf": lambda b: talib.STOCHF(b["high"], b["low"], b["close"], 14, 3, _SIMPLE),
    "stochrsi": lambda b: talib.STOCHRSI(b["close"], 14, 14, 3, _SIMPLE),
    "willr": lambda b: talib.WILLR(b["high"], b["low"], b["close"], 14),
    "ultosc": lambda b: talib.ULTOSC(b["high"], b["low"], b["close"], 7, 14, 28),
    "di": lambda b: (
        talib.PLUS_DI(b["high"], b["low"], b["close"], 14),
        talib.MINUS_DI(b["high"], b["low"], b["close"], 14),
    ),
    "dx": lambda b: talib.DX(b["high"], b["low"], b["close"], 14),
    "aroon": lambda b: (
        talib.AROON(b["high"], b["low"], 14),
        talib.AROONOSC(b["high"], b["low"], 14),
    ),
    "vortex": lambda b: talib.VORTEX(b["high"], b["low"], b["close"], 14),
    "sar": lambda b: talib.SAR(b["high"], b["low"], 0.02, 0.2),
    "supertrend": lambda b: talib.SUPERTREND(b["high"], b["low"], b["close"], 10, 3),
    "ha": lambda b: talib.HA(b["open"], b["high"], b["low"], b["close"]),
    "linreg_slope": lambda b: talib.LINEARREG_SLOPE(b["close"], 14),
    "natr": lambda b: talib.NATR(b["high"], b["low"], b["close"], 14),
    "kc": lambda b: talib.KC(b["high"], b["low"], b["close"], 20, 10, 2),
    "donchian": lambda b: talib.DONCHIAN(b["high"], b["low"], 20),
    "ad": lambda b: talib.AD(b["high"], b["low"], b["close"], b["volume"]),
    "adosc": lambda b: talib.ADOSC(b["high"], b["low"], b["close"], b["volume"], 3, 10),
    "cmf": lambda b: talib.CMF(b["high"], b["low"], b["close"], b["volume"], 20),
    "mfi": lambda b: talib.MFI(b["high"], b["low"], b["close"], b["volume"], 14),
    "efi": lambda b: talib.EFI(b["close"], b["volume"], 13),
    "cdl": lambda b: [call(b["open"], b["high"], b["low"], b["close"]) for call in _PATTERN_CALLS],
}


def run(quick: bool) -> list[Result]:
    """The flow with all indicators and with the default ones, then each one beside TA-Lib."""
    rounds = 3 if quick else 7
    series = [_series(seed) for seed in range(SYMBOLS)]
    minutes = _minutes(series)
    every = [_flow_rate(minutes, names, rounds) for names in (("all",), DEFAULT_INDICATORS)]
    return [
        Result(
            name="indicators, all, 1-minute bars of 500 symbols",
            value=every[0],
            unit="bars/s a core",
            wanted=">= 300 k",
            note=f"{len(INDICATORS)} indicators, a batch a minute, processor time",
        ),
        Result(
            name="indicators, default, 1-minute bars of 500 symbols",
            value=every[1],
            unit="bars/s a core",
        ),
        *beside_talib(series, rounds),
    ]


def beside_talib(series: list[Series], rounds: int) -> list[Result]:
    """Bars a second of each kernel that TA-Lib has too, beside TA-Lib's."""
    bars = np.hstack([_columns(one) for one in series])
    slots = np.repeat(np.arange(len(series)), BARS_A_DAY)
    found = []
    for name, call in CALLS.items():
        chosen = choose(INDICATORS[name].default_name)
        parameters = np.array(chosen.parameters, dtype=np.float64)
        state = np.zeros((len(series), chosen.width))
        values = np.empty((len(chosen.outputs), len(slots)))
        arguments = (bars, slots, state, parameters, values)
        chosen.indicator.kernel(*arguments)
        ours, theirs = [], []
        # In turn, so that what else the machine does falls on both.
        for _ in range(rounds):
            state[:] = 0.0
            begun = process_time()
            chosen.indicator.kernel(*arguments)
            ours.append(process_time() - begun)
            begun = process_time()
            for one in series:
                call(one)
            theirs.append(process_time() - begun)
        found.append(
            Result(
                name=f"indicator {chosen.name}",
                value=len(slots) / median(ours),
                unit="bars/s a core",
                wanted=">= 0.77 x (1.3 x its time)",
                baseline=len(slots) / median(theirs),
                baseline_name="TA-Lib, a call a symbol",
            )
        )
    return found


def _flow_rate(minutes: list[Rows], names: tuple[str, ...], rounds: int) -> float:
    params = IndicatorsParams(intervals=("1m",), indicators=names)
    Indicators(params, None).on_rows(minutes[0])
    taken = []
    for _ in range(rounds):
        flow = Indicators(params, None)
        begun = process_time()
        for rows in minutes:
            flow.on_rows(rows)
        taken.append(process_time() - begun)
    return SYMBOLS * len(minutes) / median(taken)


def _series(seed: int) -> Series:
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.0005, BARS_A_DAY))), 2)
    opening = np.concatenate([close[:1], close[:-1]])
    return {
        "open": opening,
        "high": np.maximum(opening, close) + rng.integers(0, 5, BARS_A_DAY) / 100,
        "low": np.minimum(opening, close) - rng.integers(0, 5, BARS_A_DAY) / 100,
        "close": close,
        "volume": rng.integers(100, 10_000, BARS_A_DAY).astype(float),
    }


def _columns(series: Series) -> Floats:
    others = {"vwap": series["close"], "session": np.zeros(BARS_A_DAY)}
    return np.array([{**series, **others}[name] for name in BAR_COLUMNS])


def _minutes(series: list[Series]) -> list[Rows]:
    symbols = pa.DictionaryArray.from_arrays(
        np.arange(SYMBOLS, dtype=np.int32), pa.array([f"S{i:03d}" for i in range(SYMBOLS)])
    )
    interval = pa.DictionaryArray.from_arrays(np.zeros(SYMBOLS, dtype=np.int32), pa.array(["1m"]))
    offset = np.zeros(SYMBOLS, dtype=np.int64)
    row = np.arange(SYMBOLS, dtype=np.int32)
    found = []
    for minute in range(BARS_A_DAY):
        prices = {name: np.array([one[name][minute] for one in series]) for name in series[0]}
        end = START_NS + (minute + 1) * MINUTE_NS
        batch = BARS.batch(
            {
                "symbol": symbols,
                "interval": interval,
                "ts_event": np.full(SYMBOLS, end),
                "ts_start": np.full(SYMBOLS, end - MINUTE_NS),
                "trade_count": np.ones(SYMBOLS, dtype=np.int64),
                "vwap": prices["close"],
                "buy_volume": np.zeros(SYMBOLS),
                "sell_volume": np.zeros(SYMBOLS),
                **prices,
            }
        )
        rows = InputRows(batch=batch, partition=0, offset=offset, row=row)
        found.append(Rows(inputs=(rows,)))
    return found
