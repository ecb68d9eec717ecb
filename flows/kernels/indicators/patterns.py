"""Candlestick patterns: all that TA-Lib has, as the outputs of one indicator, so that they share what they look at."""

import numpy as np

from flows.kernels.indicators.candles import WIDTH, has_all, push
from flows.kernels.indicators.candles_more import (
    breakaway,
    concealbabyswall,
    hikkake,
    hikkakemod,
    ladderbottom,
    mathold,
    rise_fall_three_methods,
    three_black_crows,
    three_line_strike,
)
from flows.kernels.indicators.candles_one import (
    belthold,
    closingmarubozu,
    doji,
    dojistar,
    dragonflydoji,
    gravestonedoji,
    hammer,
    hangingman,
    highwave,
    invertedhammer,
    longleggeddoji,
    longline,
    marubozu,
    rickshawman,
    shootingstar,
    shortline,
    spinningtop,
    takuri,
)
from flows.kernels.indicators.candles_three import (
    abandonedbaby,
    advanceblock,
    eveningdojistar,
    eveningstar,
    gapsidesidewhite,
    identical_three_crows,
    morningdojistar,
    morningstar,
    stalledpattern,
    sticksandwich,
    tasukigap,
    three_inside,
    three_outside,
    three_stars_in_south,
    three_white_soldiers,
    tristar,
    two_crows,
    unique_three_river,
    upside_gap_two_crows,
    xside_gap_three_methods,
)
from flows.kernels.indicators.candles_two import (
    counterattack,
    darkcloudcover,
    engulfing,
    harami,
    haramicross,
    homingpigeon,
    inneck,
    kicking,
    kickingbylength,
    matchinglow,
    onneck,
    piercing,
    separatinglines,
    thrusting,
)
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, OPEN, Indicator
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

# TA-Lib's names without CDL, in the order in which the kernel writes them, and the bars before the first value.
PATTERNS: dict[str, int] = {
    "2crows": 12,
    "3blackcrows": 13,
    "3inside": 12,
    "3linestrike": 8,
    "3outside": 3,
    "3starsinsouth": 12,
    "3whitesoldiers": 12,
    "abandonedbaby": 12,
    "advanceblock": 12,
    "belthold": 10,
    "breakaway": 14,
    "closingmarubozu": 10,
    "concealbabyswall": 13,
    "counterattack": 11,
    "darkcloudcover": 11,
    "doji": 10,
    "dojistar": 11,
    "dragonflydoji": 10,
    "engulfing": 2,
    "eveningdojistar": 12,
    "eveningstar": 12,
    "gapsidesidewhite": 7,
    "gravestonedoji": 10,
    "hammer": 11,
    "hangingman": 11,
    "harami": 11,
    "haramicross": 11,
    "highwave": 10,
    "hikkake": 5,
    "hikkakemod": 10,
    "homingpigeon": 11,
    "identical3crows": 12,
    "inneck": 11,
    "invertedhammer": 11,
    "kicking": 11,
    "kickingbylength": 11,
    "ladderbottom": 14,
    "longleggeddoji": 10,
    "longline": 10,
    "marubozu": 10,
    "matchinglow": 6,
    "mathold": 14,
    "morningdojistar": 12,
    "morningstar": 12,
    "onneck": 11,
    "piercing": 11,
    "rickshawman": 10,
    "risefall3methods": 14,
    "separatinglines": 11,
    "shootingstar": 11,
    "shortline": 10,
    "spinningtop": 10,
    "stalledpattern": 12,
    "sticksandwich": 7,
    "takuri": 10,
    "tasukigap": 7,
    "thrusting": 11,
    "tristar": 12,
    "unique3river": 12,
    "upsidegap2crows": 12,
    "xsidegap3methods": 2,
}

# What each is, in the same order.
MEANINGS: dict[str, str] = {
    name: str(function.__doc__)
    for name, function in zip(
        PATTERNS,
        (
            two_crows,
            three_black_crows,
            three_inside,
            three_line_strike,
            three_outside,
            three_stars_in_south,
            three_white_soldiers,
            abandonedbaby,
            advanceblock,
            belthold,
            breakaway,
            closingmarubozu,
            concealbabyswall,
            counterattack,
            darkcloudcover,
            doji,
            dojistar,
            dragonflydoji,
            engulfing,
            eveningdojistar,
            eveningstar,
            gapsidesidewhite,
            gravestonedoji,
            hammer,
            hangingman,
            harami,
            haramicross,
            highwave,
            hikkake,
            hikkakemod,
            homingpigeon,
            identical_three_crows,
            inneck,
            invertedhammer,
            kicking,
            kickingbylength,
            ladderbottom,
            longleggeddoji,
            longline,
            marubozu,
            matchinglow,
            mathold,
            morningdojistar,
            morningstar,
            onneck,
            piercing,
            rickshawman,
            rise_fall_three_methods,
            separatinglines,
            shootingstar,
            shortline,
            spinningtop,
            stalledpattern,
            sticksandwich,
            takuri,
            tasukigap,
            thrusting,
            tristar,
            unique_three_river,
            upside_gap_two_crows,
            xside_gap_three_methods,
        ),
        strict=True,
    )
}

_WARM_UPS = np.array(list(PATTERNS.values()), dtype=np.int64)
_WARM = max(PATTERNS.values())


@jit_in_place
def _first_half(own: Floats, values: Floats, i: int) -> None:
    values[0, i] = two_crows(own)
    values[1, i] = three_black_crows(own)
    values[2, i] = three_inside(own)
    values[3, i] = three_line_strike(own)
    values[4, i] = three_outside(own)
    values[5, i] = three_stars_in_south(own)
    values[6, i] = three_white_soldiers(own)
    values[7, i] = abandonedbaby(own)
    values[8, i] = advanceblock(own)
    values[9, i] = belthold(own)
    values[10, i] = breakaway(own)
    values[11, i] = closingmarubozu(own)
    values[12, i] = concealbabyswall(own)
    values[13, i] = counterattack(own)
    values[14, i] = darkcloudcover(own)
    values[15, i] = doji(own)
    values[16, i] = dojistar(own)
    values[17, i] = dragonflydoji(own)
    values[18, i] = engulfing(own)
    values[19, i] = eveningdojistar(own)
    values[20, i] = eveningstar(own)
    values[21, i] = gapsidesidewhite(own)
    values[22, i] = gravestonedoji(own)
    values[23, i] = hammer(own)
    values[24, i] = hangingman(own)
    values[25, i] = harami(own)
    values[26, i] = haramicross(own)
    values[27, i] = highwave(own)


@jit_in_place
def _second_half(own: Floats, values: Floats, i: int) -> None:
    values[30, i] = homingpigeon(own)
    values[31, i] = identical_three_crows(own)
    values[32, i] = inneck(own)
    values[33, i] = invertedhammer(own)
    values[34, i] = kicking(own)
    values[35, i] = kickingbylength(own)
    values[36, i] = ladderbottom(own)
    values[37, i] = longleggeddoji(own)
    values[38, i] = longline(own)
    values[39, i] = marubozu(own)
    values[40, i] = matchinglow(own)
    values[41, i] = mathold(own)
    values[42, i] = morningdojistar(own)
    values[43, i] = morningstar(own)
    values[44, i] = onneck(own)
    values[45, i] = piercing(own)
    values[46, i] = rickshawman(own)
    values[47, i] = rise_fall_three_methods(own)
    values[48, i] = separatinglines(own)
    values[49, i] = shootingstar(own)
    values[50, i] = shortline(own)
    values[51, i] = spinningtop(own)
    values[52, i] = stalledpattern(own)
    values[53, i] = sticksandwich(own)
    values[54, i] = takuri(own)
    values[55, i] = tasukigap(own)
    values[56, i] = thrusting(own)
    values[57, i] = tristar(own)
    values[58, i] = unique_three_river(own)
    values[59, i] = upside_gap_two_crows(own)
    values[60, i] = xside_gap_three_methods(own)


@jit_in_place
def _cdl(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    for i in range(len(slots)):
        own = state[slots[i]]
        opening, high, low, close = bars[OPEN, i], bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
        if not has_all(opening, high, low, close):
            for output in range(len(values)):
                values[output, i] = np.nan
            continue
        count = push(own, opening, high, low, close)
        _first_half(own, values, i)
        values[28, i] = hikkake(own, count)
        values[29, i] = hikkakemod(own, count)
        _second_half(own, values, i)
        if count < _WARM:
            for output in range(len(values)):
                if count < _WARM_UPS[output]:
                    values[output, i] = np.nan


CDL = Indicator(
    name="cdl",
    inputs=("open", "high", "low", "close"),
    outputs=tuple(f"_{name}" for name in PATTERNS),
    warm_up=lambda: tuple(PATTERNS.values()),
    width=lambda: WIDTH,
    kernel=_cdl,
    definition=(
        "Candlestick patterns by TA-Lib's names and with its settings: 100 bullish, -100 bearish, 80 and -80 where "
        "two bodies share an end, 200 and -200 for a confirmed hikkake, 0 none."
    ),
    source="Nison; Morris, Candlestick Charting Explained; TA-Lib 0.8, the 61 functions CDL...",
    unit="-200 to 200",
)
