"""Bars that indicators are tried on: walks, jumps, steps, candles, from tiny to huge."""

import numpy as np

from schemas.sessions import session_starts

MINUTE = 60 * 10**9
NOON = 1_381_161_600 * 10**9  # Monday 2013-10-07 16:00 UTC, noon in New York


Series = dict[str, np.ndarray]


def ohlc(close: np.ndarray, seed: int = 7) -> Series:
    """Bars around a series of closes."""
    rng = np.random.default_rng(seed)
    n = len(close)
    opening = np.concatenate([close[:1], close[:-1]])
    return {
        "open": opening,
        "high": np.maximum(opening, close) * (1 + rng.uniform(0, 0.01, n)),
        "low": np.minimum(opening, close) * (1 - rng.uniform(0, 0.01, n)),
        "close": close,
        "volume": rng.integers(0, 1000, n).astype(float),
    }


def sessions(count: int) -> np.ndarray:
    """Session of each of the bars that `bars` makes, by the calendar of New York."""
    start = session_starts("XNYS")
    return np.searchsorted(start, NOON + MINUTE * np.arange(count), side="right").astype(float)


def flat(close: np.ndarray, volume: float) -> Series:
    """Bars without range."""
    return {
        **dict.fromkeys(("open", "high", "low", "close"), close),
        "volume": np.full(len(close), volume),
    }


def candles(rng: np.random.Generator, count: int) -> Series:
    """Bars in whole ticks that gap, often have no shadow, and often stop where others did: all patterns are in them."""
    body = rng.choice([0, 0, 1, 1, 2, 4, 8, 12], count) * rng.choice([-1, 1], count)
    gap = rng.choice([-6, -3, -2, -1, 0, 0, 0, 1, 2, 3, 6], count)
    # They come back to the middle, so that no price is negative however many there are.
    close = np.empty(count)
    opening = np.empty(count)
    last = 1_000.0
    for i in range(count):
        opening[i] = last + gap[i]
        last = close[i] = opening[i] + body[i] - np.round((opening[i] - 1_000) / 50)
    shadow = rng.choice([0, 0, 0, 1, 2, 5, 12], (2, count))
    high, low = np.maximum(opening, close) + shadow[0], np.minimum(opening, close) - shadow[1]
    ticks = np.vstack([np.array([opening, high, low, close]).T, *map(planted, RARE)])
    prices = dict(zip(("open", "high", "low", "close"), ticks.T / 100, strict=True))
    return {**prices, "volume": rng.integers(0, 1000, len(ticks)).astype(float)}


# Breakaway, concealed baby swallow and mat hold, which chance makes too seldom: open, high, low, close in ticks.
RARE = (
    (
        (120, 121, 107, 108),
        (105, 106, 102, 103),
        (103, 105, 100, 101),
        (101, 104, 98, 99),
        (99, 108, 98, 107),
    ),
    ((120, 120, 112, 112), (112, 112, 104, 104), (103, 107, 101, 101), (108, 109, 99, 100)),
    (
        (100, 113, 99, 112),
        (115, 116, 113, 114),
        (113, 114, 110, 111),
        (112, 113, 109, 110),
        (111, 118, 110, 117),
    ),
)


def planted(pattern: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """A pattern behind enough middling candles to be measured by."""
    return np.array([(100, 104, 98, 102), (102, 103, 97, 99)] * 10 + list(pattern), dtype=float)


def made() -> dict[str, Series]:
    rng = np.random.default_rng(20131007)

    def walk(n: int, step: float) -> np.ndarray:
        return np.exp(np.cumsum(rng.normal(0, step, n)))

    steps = np.concatenate([np.full(300, 5.0), np.full(300, 1e7), np.full(300, 5.01)])
    spikes = np.where(rng.random(5_000) < 0.01, 1e8, 10.0) * rng.uniform(0.9, 1.1, 5_000)
    return {
        "walk": ohlc(100 * walk(5_000, 0.01)),
        "long": ohlc(100 * walk(100_000, 0.001)),
        "constant": flat(np.full(500, 37.17), 0.0),
        "jumps": ohlc(spikes),
        "steps": flat(steps, 1.0),
        "tiny": ohlc(1e-9 * walk(3_000, 0.01)),
        "huge": ohlc(1e12 * walk(3_000, 0.01)),
        "nearly constant": ohlc(1e6 + rng.normal(0, 1e-8, 3_000)),
        "six decades": ohlc(10 ** rng.uniform(-3, 3, 20_000)),
        "ticks": ohlc(np.round(50 + 0.01 * np.cumsum(rng.integers(-1, 2, 20_000)), 2)),
        "candles": candles(rng, 60_000),
        "no volume": {**ohlc(walk(500, 0.01)), "volume": np.zeros(500)},
        "shorter than any warm-up": ohlc(walk(1, 0.01)),
    }


SERIES = {k: {**v, "session": sessions(len(v["close"]))} for k, v in made().items()}
