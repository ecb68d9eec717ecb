"""Independent values of every indicator: TA-Lib where it has the function, else plain numpy over whole windows.

A reference takes a series (open, high, low, close, volume) and the parameters, and gives one array an output,
NaN where there is no value.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import talib
from talib import MA_Type, abstract

from flows.kernels.indicators.patterns import PATTERNS

Series = dict[str, np.ndarray]
Reference = Callable[..., list[np.ndarray]]


def _hlc(bars: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return bars["high"], bars["low"], bars["close"]


def _hlcv(bars: Series) -> tuple[np.ndarray, ...]:
    return (*_hlc(bars), bars["volume"])


def _ohlc(bars: Series) -> tuple[np.ndarray, ...]:
    return (bars["open"], *_hlc(bars))


def _aroon(bars: Series, period: int) -> list[np.ndarray]:
    down, up = talib.AROON(bars["high"], bars["low"], period)
    return [up, down, talib.AROONOSC(bars["high"], bars["low"], period)]


def _supertrend(bars: Series, period: int, multiple: float) -> list[np.ndarray]:
    line, trend = talib.SUPERTREND(*_hlc(bars), period, multiple)
    return [line, np.where(np.isnan(line), np.nan, trend)]


def _cdl(bars: Series) -> list[np.ndarray]:
    found = []
    for name, warm_up in PATTERNS.items():
        values = getattr(talib, f"CDL{name.upper()}")(*_ohlc(bars)).astype(float)
        assert abstract.Function(f"CDL{name.upper()}").lookback == warm_up
        values[:warm_up] = np.nan
        found.append(values)
    return found


TALIB: dict[str, Reference] = {
    "sma": lambda b, n: [talib.SMA(b["close"], n)],
    "ema": lambda b, n: [talib.EMA(b["close"], n)],
    "wma": lambda b, n: [talib.WMA(b["close"], n)],
    "rsi": lambda b, n: [talib.RSI(b["close"], n)],
    "macd": lambda b, f, s, n: list(talib.MACD(b["close"], f, s, n)),
    "bbands": lambda b, n, k: list(talib.BBANDS(b["close"], n, k, k)),
    "stoch": lambda b, n, k, d: list(talib.STOCH(*_hlc(b), n, k, 0, d, 0)),
    "adx": lambda b, n: [talib.ADX(*_hlc(b), n)],
    "atr": lambda b, n: [talib.ATR(*_hlc(b), n)],
    "cci": lambda b, n: [talib.CCI(*_hlc(b), n)],
    "obv": lambda b: [talib.OBV(b["close"], b["volume"])],
    "dema": lambda b, n: [talib.DEMA(b["close"], n)],
    "tema": lambda b, n: [talib.TEMA(b["close"], n)],
    "t3": lambda b, n, v: [talib.T3(b["close"], n, v)],
    "rma": lambda b, n: [talib.RMA(b["close"], n)],
    "kama": lambda b, n: [talib.KAMA(b["close"], n)],
    "hma": lambda b, n: [talib.HMA(b["close"], n)],
    "vwma": lambda b, n: [talib.VWMA(b["close"], b["volume"], n)],
    "apo": lambda b, f, s: [talib.APO(b["close"], f, s, MA_Type.EMA)],
    "ppo": lambda b, f, s: [talib.PPO(b["close"], f, s, MA_Type.EMA)],
    "pvo": lambda b, f, s: [talib.PVO(b["volume"], f, s, MA_Type.EMA)],
    "ao": lambda b, f, s: [talib.AO(b["high"], b["low"], f, s)],
    "dpo": lambda b, n: [talib.DPO(b["close"], n)],
    "trix": lambda b, n: [talib.TRIX(b["close"], n)],
    "tsi": lambda b, r, s: [talib.TSI(b["close"], r, s)],
    "mom": lambda b, n: [talib.MOM(b["close"], n)],
    "roc": lambda b, n: [talib.ROC(b["close"], n)],
    "cmo": lambda b, n: [talib.CMO(b["close"], n)],
    "bop": lambda b: [talib.BOP(*_ohlc(b))],
    "stochf": lambda b, n, d: list(talib.STOCHF(*_hlc(b), n, d, 0)),
    "stochrsi": lambda b, r, n, d: list(talib.STOCHRSI(b["close"], r, n, d, 0)),
    "willr": lambda b, n: [talib.WILLR(*_hlc(b), n)],
    "ultosc": lambda b, p, q, r: [talib.ULTOSC(*_hlc(b), p, q, r)],
    "di": lambda b, n: [talib.PLUS_DI(*_hlc(b), n), talib.MINUS_DI(*_hlc(b), n)],
    "dx": lambda b, n: [talib.DX(*_hlc(b), n)],
    "aroon": _aroon,
    "vortex": lambda b, n: list(talib.VORTEX(*_hlc(b), n)),
    "sar": lambda b, a, m: [talib.SAR(b["high"], b["low"], a, m)],
    "supertrend": _supertrend,
    "ha": lambda b: list(talib.HA(*_ohlc(b))),
    "linreg_slope": lambda b, n: [talib.LINEARREG_SLOPE(b["close"], n)],
    "natr": lambda b, n: [talib.NATR(*_hlc(b), n)],
    "kc": lambda b, n, r, k: list(talib.KC(*_hlc(b), n, r, k)),
    "donchian": lambda b, n: list(talib.DONCHIAN(b["high"], b["low"], n)),
    "ad": lambda b: [talib.AD(*_hlcv(b))],
    "adosc": lambda b, f, s: [talib.ADOSC(*_hlcv(b), f, s)],
    "cmf": lambda b, n: [talib.CMF(*_hlcv(b), n)],
    "mfi": lambda b, n: [talib.MFI(*_hlcv(b), n)],
    "efi": lambda b, n: [talib.EFI(b["close"], b["volume"], n)],
    "cdl": _cdl,
}


def _windows(values: np.ndarray, size: int) -> np.ndarray:
    # Each value's window, NaN before it is full.
    padded = np.concatenate([np.full(size - 1, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, size)


def _alma(bars: Series, period: int, offset: float, sigma: float) -> list[np.ndarray]:
    places = np.arange(period)
    deviation = period / sigma
    weights = np.exp(-((places - offset * (period - 1) // 1) ** 2) / (2 * deviation**2))
    return [_windows(bars["close"], period) @ (weights / weights.sum())]


def _kst(bars: Series, *parameters: int) -> list[np.ndarray]:
    close = bars["close"]
    line = np.zeros(len(close))
    for k in range(4):
        before = np.concatenate([np.full(parameters[k], np.nan), close])[: len(close)]
        rates = 100 * (close / before - 1)
        line += (k + 1) * _windows(rates, parameters[4 + k]).mean(axis=1)
    return [line, _windows(line, parameters[8]).mean(axis=1)]


def _stc(bars: Series, cycle: int, fast: int, slow: int) -> list[np.ndarray]:
    close = bars["close"]
    line = talib.EMA(close, min(fast, slow)) - talib.EMA(close, max(fast, slow))
    for _ in range(2):
        windows = _windows(line, cycle)
        out = np.full(len(line), np.nan)
        place, smoothed = 0.0, np.nan
        for i in range(len(line)):
            if np.isnan(windows[i]).any():
                continue
            low, high = windows[i].min(), windows[i].max()
            place = 100 * (line[i] - low) / (high - low) if high > low else place
            smoothed = place if np.isnan(smoothed) else smoothed + 0.5 * (place - smoothed)
            out[i] = smoothed
        line = out
    return [line]


def _fisher(bars: Series, period: int) -> list[np.ndarray]:
    middle = 0.5 * (bars["high"] + bars["low"])
    low, high = _windows(middle, period).min(axis=1), _windows(middle, period).max(axis=1)
    line, signal = np.full(len(middle), np.nan), np.full(len(middle), np.nan)
    smoothed = transformed = 0.0
    for i in range(period - 1, len(middle)):
        spread = high[i] - low[i] or 0.001
        smoothed = 0.66 * ((middle[i] - low[i]) / spread - 0.5) + 0.67 * smoothed
        smoothed = np.sign(smoothed) * 0.999 if abs(smoothed) > 0.99 else smoothed
        signal[i] = transformed
        line[i] = transformed = np.arctanh(smoothed) + 0.5 * transformed
    return [line, signal]


def _chandelier(bars: Series, period: int, multiple: float) -> list[np.ndarray]:
    reach = multiple * talib.ATR(*_hlc(bars), period)
    return [talib.MAX(bars["high"], period) - reach, talib.MIN(bars["low"], period) + reach]


def _ichimoku(bars: Series, turning: int, base: int, slow: int) -> list[np.ndarray]:
    def middle(period: int) -> np.ndarray:
        highs, lows = _windows(bars["high"], period), _windows(bars["low"], period)
        return (highs.max(axis=1) + lows.min(axis=1)) / 2

    def ahead(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.full(base, np.nan), values])[: len(values)]

    spans = [ahead((middle(turning) + middle(base)) / 2), ahead(middle(slow))]
    return [middle(turning), middle(base), *spans]


def _chop(bars: Series, period: int) -> list[np.ndarray]:
    before = np.concatenate([[np.nan], bars["close"][:-1]])
    high, low = np.maximum(bars["high"], before), np.minimum(bars["low"], before)
    total = _windows(high - low, period).sum(axis=1)
    spread = _windows(high, period).max(axis=1) - _windows(low, period).min(axis=1)
    spread = np.where(spread > 0, spread, np.nan)
    return [100 * np.log10(total / spread) / np.log10(period)]


def _pivots(bars: Series) -> list[np.ndarray]:
    session = bars["session"]
    starts = [0, *(np.flatnonzero(np.diff(session)) + 1).tolist(), len(session)]
    out = np.full((7, len(session)), np.nan)
    spans = list(pairwise(starts))
    for (begin, end), (_, last) in pairwise(spans):
        high, low = bars["high"][begin:end].max(), bars["low"][begin:end].min()
        p = (high + low + bars["close"][end - 1]) / 3
        levels = (p, 2 * p - low, 2 * p - high, p + high - low, p - high + low)
        out[:, end:last] = np.array([*levels, high + 2 * (p - low), low - 2 * (high - p)])[:, None]
    return list(out)


def _returns(bars: Series) -> np.ndarray:
    close = bars["close"]
    return np.log(close / np.concatenate([[np.nan], close[:-1]]))


def _garman_klass(bars: Series, period: int) -> list[np.ndarray]:
    reach = np.log(bars["high"] / bars["low"]) ** 2 / 2
    move = (2 * np.log(2) - 1) * np.log(bars["close"] / bars["open"]) ** 2
    return [np.sqrt(np.maximum(_windows(reach - move, period).mean(axis=1), 0))]


def _yang_zhang(bars: Series, period: int) -> list[np.ndarray]:
    opening, high, low, close = _ohlc(bars)
    gap = np.log(opening / np.concatenate([[np.nan], close[:-1]]))
    move = np.log(close / opening)
    up, down = np.log(high / opening), np.log(low / opening)
    drift = _windows(up * (up - move) + down * (down - move), period).mean(axis=1)
    share = 0.34 / (1.34 + (period + 1) / (period - 1))
    gaps, moves = (_windows(x, period).var(axis=1, ddof=1) for x in (gap, move))
    return [np.sqrt(np.maximum(gaps + share * moves + (1 - share) * drift, 0))]


def _ulcer(bars: Series, period: int) -> list[np.ndarray]:
    windows = _windows(bars["close"], period)
    tops = np.maximum.accumulate(windows, axis=1)
    return [np.sqrt(((100 * (windows - tops) / tops) ** 2).mean(axis=1))]


def _zscore(bars: Series, period: int) -> list[np.ndarray]:
    windows = _windows(bars["close"], period)
    mean, deviation = windows.mean(axis=1), windows.std(axis=1)
    deviation = np.where(deviation > 1e-12 * abs(mean), deviation, np.nan)
    return [(bars["close"] - mean) / deviation]


def _hurst(bars: Series, period: int) -> list[np.ndarray]:
    logs = _windows(np.log(bars["close"]), period + 1)
    lags = 2 ** np.arange(5)
    squares = [((logs[:, lag:] - logs[:, :-lag]) ** 2).mean(axis=1) for lag in lags]
    roots = np.sqrt(np.array(squares))
    roots[:, (roots == 0).any(axis=0)] = np.nan
    x = np.log(lags) - np.log(lags).mean()
    return [x @ np.log(roots) / (x @ x)]


BRUTE_FORCE: dict[str, Reference] = {
    "alma": _alma,
    "kst": _kst,
    "stc": _stc,
    "fisher": _fisher,
    "chandelier": _chandelier,
    "ichimoku": _ichimoku,
    "chop": _chop,
    "pivots": _pivots,
    "rv_close": lambda b, n: [_windows(_returns(b), n).std(axis=1, ddof=1)],
    "rv_parkinson": lambda b, n: [
        np.sqrt((_windows(np.log(b["high"] / b["low"]), n) ** 2).mean(axis=1) / (4 * np.log(2)))
    ],
    "rv_garman_klass": _garman_klass,
    "rv_yang_zhang": _yang_zhang,
    "ulcer": _ulcer,
    "zscore": _zscore,
    "hurst": _hurst,
}

REFERENCES: dict[str, Reference] = {**TALIB, **BRUTE_FORCE}
