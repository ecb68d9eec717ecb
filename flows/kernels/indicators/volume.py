"""Volume: on-balance volume, accumulation and distribution, money flow, the session's VWAP."""

import numpy as np

from flows.kernels.indicators.averages import TALIB, period_of
from flows.kernels.indicators.declaration import (
    CLOSE,
    HIGH,
    LOW,
    SESSION,
    VOLUME,
    VWAP,
    Indicator,
    Parameter,
)
from flows.kernels.indicators.smoothing import exponential_step
from flows.kernels.indicators.windows import RELATIVE_ZERO, following, run_end
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

_UNIT = "shares, contracts or coins"


@jit_in_place
def _obv(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    closes, volumes = bars[CLOSE], bars[VOLUME]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, balance = own[0], own[1], own[2]
        for i in range(start, end):
            close, volume = closes[i], volumes[i]
            out[i] = np.nan
            if np.isnan(close) or np.isnan(volume):
                continue
            if started == 0:
                started = 1.0
                balance = volume
            elif close > previous:
                balance += volume
            elif close < previous:
                balance -= volume
            previous = close
            out[i] = balance
        own[0], own[1], own[2] = started, previous, balance
        start = end


@jit_in_place
def _flow(high: float, low: float, close: float, volume: float) -> float:
    # Chaikin's money flow of a bar: its volume by where in its range it closed, from -1 to 1.
    spread = high - low
    return ((close - low) - (high - close)) / spread * volume if spread > 0.0 else 0.0


@jit_in_place
def _ad(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:  # noqa: ARG001 - the form of every kernel
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        line = own[0]
        for i in range(start, end):
            flow = _flow(bars[HIGH, i], bars[LOW, i], bars[CLOSE, i], bars[VOLUME, i])
            out[i] = np.nan
            if not (np.isnan(flow) or np.isnan(bars[CLOSE, i] + bars[VOLUME, i])):
                line += flow
                out[i] = line
        own[0] = line
        start = end


@jit_in_place
def _adosc(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    warm_up = int(max(parameters[0], parameters[1])) - 1
    fast_weight = 2.0 / (parameters[0] + 1.0)
    slow_weight = 2.0 / (parameters[1] + 1.0)
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, line, fast, slow = int(own[0]), own[1], own[2], own[3]
        for i in range(start, end):
            flow = _flow(bars[HIGH, i], bars[LOW, i], bars[CLOSE, i], bars[VOLUME, i])
            out[i] = np.nan
            if np.isnan(flow) or np.isnan(bars[CLOSE, i] + bars[VOLUME, i]):
                continue
            line += flow
            if count == 0:
                fast = slow = line
            else:
                fast = fast_weight * line + (1.0 - fast_weight) * fast
                slow = slow_weight * line + (1.0 - slow_weight) * slow
            if count < warm_up:
                count += 1
            else:
                out[i] = fast - slow
        own[0], own[1], own[2], own[3] = count, line, fast, slow
        start = end


@jit_in_place
def _cmf(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position, flows, total = int(own[0]), int(own[1]), own[2], own[3]
        flow_ring = own[4 : 4 + period]
        volume_ring = own[4 + period : 4 + 2 * period]
        for i in range(start, end):
            volume = bars[VOLUME, i]
            flow = _flow(bars[HIGH, i], bars[LOW, i], bars[CLOSE, i], volume)
            out[i] = np.nan
            if np.isnan(flow) or np.isnan(bars[CLOSE, i] + volume):
                continue
            if count >= period:
                flows -= flow_ring[position]
                total -= volume_ring[position]
            else:
                count += 1
            flow_ring[position] = flow
            volume_ring[position] = volume
            position = following(position, period)
            flows += flow
            total += volume
            if count >= period:
                out[i] = flows / total if total > 0.0 else 0.0
        own[0], own[1], own[2], own[3] = count, position, flows, total
        start = end


@jit_in_place
def _mfi(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous = own[0], own[1]
        count, position, still = int(own[2]), int(own[3]), int(own[4])
        rising, falling = own[5], own[6]
        ring = own[7 : 7 + 2 * period]
        for i in range(start, end):
            typical = (bars[HIGH, i] + bars[LOW, i] + bars[CLOSE, i]) / 3.0
            volume = bars[VOLUME, i]
            out[i] = np.nan
            if np.isnan(typical) or np.isnan(volume):
                continue
            change = typical - previous
            size = abs(typical) + abs(previous)
            previous = typical
            if started == 0:
                started = 1.0
                continue
            flow = 0.0 if abs(change) <= RELATIVE_ZERO * size else typical * volume
            up = 0.0 if change < 0.0 else flow
            down = flow if change < 0.0 else 0.0
            if count >= period:
                rising -= ring[2 * position]
                falling -= ring[2 * position + 1]
            else:
                count += 1
            ring[2 * position] = up
            ring[2 * position + 1] = down
            position = following(position, period)
            rising += up
            falling += down
            # After a whole window without flow, the sums are zero but for what rounding left.
            still = min(still + 1, period) if flow == 0.0 else 0
            if still >= period:
                rising = falling = 0.0
            if count >= period:
                total = rising + falling
                out[i] = 100.0 * (min(max(rising, 0.0), total) / total) if total > 0.0 else 0.0
        own[0], own[1], own[2], own[3], own[4] = started, previous, count, position, still
        own[5], own[6] = rising, falling
        start = end


@jit_in_place
def _efi(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, average = own[0], own[1], int(own[2]), own[3]
        for i in range(start, end):
            close, volume = bars[CLOSE, i], bars[VOLUME, i]
            out[i] = np.nan
            if np.isnan(close) or np.isnan(volume):
                continue
            if started > 0:
                force = (close - previous) * volume
                count, average = exponential_step(count, average, force, period, weight)
                if count >= period:
                    out[i] = average
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, average
        start = end


@jit_in_place
def _vwap_session(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    for i in range(len(slots)):
        own = state[slots[i]]
        session, price, volume = bars[SESSION, i], bars[VWAP, i], bars[VOLUME, i]
        if own[0] == 0 or session != own[1]:
            own[0] = 1.0
            own[1] = session
            own[2] = 0.0
            own[3] = 0.0
        if not (np.isnan(price) or np.isnan(volume)):
            own[2] += price * volume
            own[3] += volume
        values[0, i] = own[2] / own[3] if own[3] > 0 else np.nan


_BARS = ("high", "low", "close", "volume")

OBV = Indicator(
    name="obv",
    inputs=("close", "volume"),
    warm_up=lambda: 0,
    width=lambda: 3,
    kernel=_obv,
    definition=(
        "The first bar's volume, plus the volume of every later bar that closed higher than the one "
        "before, less that of every bar that closed lower."
    ),
    source="Granville (1963); TA-Lib 0.8, function OBV",
    unit=_UNIT,
)

AD = Indicator(
    name="ad",
    inputs=_BARS,
    warm_up=lambda: 0,
    width=lambda: 1,
    kernel=_ad,
    definition=(
        "Accumulation and distribution: running sum of volume times ((close - low) - (high - close)) / "
        "(high - low); a bar without range adds nothing."
    ),
    source="Chaikin; " + TALIB.format("AD"),
    unit=_UNIT,
)

ADOSC = Indicator(
    name="adosc",
    parameters=(
        Parameter(name="fast period", default=3, minimum=2),
        Parameter(name="slow period", default=10, minimum=2),
    ),
    inputs=_BARS,
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    width=lambda *_: 4,
    kernel=_adosc,
    definition=(
        "Chaikin oscillator: fast less slow exponential mean of the accumulation line (ad), both seeded by "
        "its first value."
    ),
    source="Chaikin; " + TALIB.format("ADOSC"),
    unit=_UNIT,
)

CMF = Indicator(
    name="cmf",
    parameters=period_of(20, 2),
    inputs=_BARS,
    warm_up=lambda period: period - 1,
    width=lambda period: 2 * period + 4,
    kernel=_cmf,
    definition=(
        "Chaikin money flow: sum over the last bars of what each adds to the accumulation line (ad), over the "
        "sum of volume; 0 without volume."
    ),
    source="Chaikin; " + TALIB.format("CMF"),
    unit="-1 to 1",
)

MFI = Indicator(
    name="mfi",
    parameters=period_of(14, 2),
    inputs=_BARS,
    warm_up=lambda period: period,
    width=lambda period: 2 * period + 7,
    kernel=_mfi,
    definition=(
        "Money flow index: of the sums over the last bars of typical price times volume, the share of bars "
        "whose typical price rose, in percent of those where it rose or fell; 0 without any."
    ),
    source="Quong and Soudack, Stocks and Commodities V7:3 (1989); " + TALIB.format("MFI"),
    unit="0 to 100",
)

EFI = Indicator(
    name="efi",
    parameters=period_of(13),
    inputs=("close", "volume"),
    warm_up=lambda period: period,
    width=lambda _: 4,
    kernel=_efi,
    definition="Elder's force index: exponential mean of the change of the close times volume.",
    source="Elder, Trading for a Living (1993); " + TALIB.format("EFI"),
    unit="quote currency times " + _UNIT,
)

VWAP_SESSION = Indicator(
    name="vwap_session",
    inputs=("vwap", "volume", "session"),
    warm_up=lambda: 0,
    width=lambda: 4,
    kernel=_vwap_session,
    definition=(
        "Volume-weighted mean price of all bars of the calendar's session so far, a bar being of the "
        "session in which it starts; null before the first volume. A bar without volume leaves it as it is."
    ),
    source="Sum of vwap times volume over sum of volume; no TA-Lib function",
    unit="quote currency",
)
