"""The registry of indicators, and the way from a name such as ``rsi_21`` to one with parameters."""

from collections.abc import Sequence

from flows.kernels.indicators.adaptive import ALMA, HMA, KAMA, VWMA
from flows.kernels.indicators.averages import EMA, SMA, WMA
from flows.kernels.indicators.chains import DEMA, RMA, T3, TEMA, TRIX, TSI
from flows.kernels.indicators.channels import BBANDS, DONCHIAN, ICHIMOKU, KC
from flows.kernels.indicators.declaration import Chosen, Indicator, IndicatorError
from flows.kernels.indicators.directional import ADX, AROON, DI, DX, VORTEX
from flows.kernels.indicators.momentum import BOP, CCI, CMO, MACD, MOM, ROC, RSI
from flows.kernels.indicators.oscillators import AO, APO, DPO, KST, PPO, PVO, STC
from flows.kernels.indicators.patterns import CDL
from flows.kernels.indicators.pivots import PIVOTS
from flows.kernels.indicators.ranges import ATR, CHANDELIER, NATR
from flows.kernels.indicators.stochastics import FISHER, STOCH, STOCHF, STOCHRSI, WILLR
from flows.kernels.indicators.trend import HA, LINREG_SLOPE, SAR, SUPERTREND
from flows.kernels.indicators.ultimate import CHOP, ULTOSC
from flows.kernels.indicators.volatility import (
    HURST,
    RV_CLOSE,
    RV_GARMAN_KLASS,
    RV_PARKINSON,
    RV_YANG_ZHANG,
    ULCER,
    ZSCORE,
)
from flows.kernels.indicators.volume import AD, ADOSC, CMF, EFI, MFI, OBV, VWAP_SESSION

# Those whose values are computed unless the settings choose others. All of them would write ten times the rows.
_DEFAULT = (SMA, EMA, WMA, RSI, MACD, BBANDS, STOCH, ADX, ATR, CCI, OBV, VWAP_SESSION)

# What chooses every indicator with its default parameters.
ALL = "all"

INDICATORS: dict[str, Indicator] = {
    indicator.name: indicator
    for indicator in (
        *_DEFAULT,
        DEMA,
        TEMA,
        T3,
        RMA,
        KAMA,
        HMA,
        ALMA,
        VWMA,
        APO,
        PPO,
        PVO,
        AO,
        DPO,
        TRIX,
        TSI,
        KST,
        STC,
        MOM,
        ROC,
        CMO,
        BOP,
        STOCHF,
        STOCHRSI,
        WILLR,
        FISHER,
        ULTOSC,
        DI,
        DX,
        AROON,
        VORTEX,
        SAR,
        SUPERTREND,
        HA,
        LINREG_SLOPE,
        NATR,
        KC,
        DONCHIAN,
        CHANDELIER,
        ICHIMOKU,
        CHOP,
        PIVOTS,
        AD,
        ADOSC,
        CMF,
        MFI,
        EFI,
        RV_CLOSE,
        RV_PARKINSON,
        RV_GARMAN_KLASS,
        RV_YANG_ZHANG,
        ULCER,
        ZSCORE,
        HURST,
        CDL,
    )
}

DEFAULT_INDICATORS: tuple[str, ...] = tuple(indicator.default_name for indicator in _DEFAULT)


def chosen_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names as the settings say them, ``all`` standing for every indicator with its default parameters."""
    if isinstance(names, str):
        names = [names]
    found: list[str] = []
    for name in names:
        if name == ALL:
            found += [indicator.default_name for indicator in INDICATORS.values()]
        else:
            found.append(name)
    return tuple(found)


def choose(name: str) -> Chosen:
    """The indicator and parameters that a name says.

    Parameters
    ----------
    name : str
        Stem and all parameters in order, with underscores between: ``rsi_14``, ``bbands_20_2.5``; with the
        name of an output behind, for that one only: ``bbands_20_2.5_upper``, ``cdl_engulfing``.

    Raises
    ------
    IndicatorError
        Saying what was needed, for an unknown stem or parameters that do not fit.

    Examples
    --------
    >>> choose("macd_12_26_9").outputs
    ['macd_12_26_9', 'macd_12_26_9_signal', 'macd_12_26_9_hist']
    >>> choose("macd_12_26_9_signal").outputs
    ['macd_12_26_9_signal']
    >>> choose("rsi_21").warm_ups
    (21,)
    """
    stems = [stem for stem in INDICATORS if name == stem or name.startswith(f"{stem}_")]
    if not stems:
        known = ", ".join(indicator.default_name for indicator in INDICATORS.values())
        raise IndicatorError(
            f"indicator {name!r} is not known; there are (with default parameters, or {ALL!r}): {known}"
        )
    indicator = INDICATORS[max(stems, key=len)]
    kept = tuple(range(len(indicator.outputs)))
    told = name
    for at, suffix in enumerate(indicator.outputs):
        if suffix and name.endswith(suffix):
            kept = (at,)
            told = name.removesuffix(suffix)
    values = _parameters(indicator, told, name)
    return Chosen(name=name, indicator=indicator, parameters=values, kept=kept)


def _parameters(indicator: Indicator, told: str, name: str) -> tuple[float, ...]:
    texts = told[len(indicator.name) + 1 :].split("_") if told != indicator.name else []
    needed = ", ".join(parameter.name for parameter in indicator.parameters) or "none"
    if len(texts) != len(indicator.parameters):
        raise IndicatorError(
            f"indicator {name!r} has {len(texts)} parameters where {indicator.name} needs "
            f"{len(indicator.parameters)} ({needed}), as in {indicator.default_name}"
        )
    values = []
    for text, parameter in zip(texts, indicator.parameters, strict=True):
        try:
            value = float(int(text) if parameter.whole else float(text))
        except ValueError:
            value = -1.0
        # One spelling a value, because the name is part of a row's identity.
        if not parameter.minimum <= value <= parameter.maximum or f"{value:g}" != text:
            kind = "a whole number" if parameter.whole else "a number"
            raise IndicatorError(
                f"indicator {name!r}: {parameter.name} must be {kind} from {parameter.minimum:g} to "
                f"{parameter.maximum:.0f}, plainly written, as in {indicator.default_name}; {text!r} is not"
            )
        values.append(value)
    return tuple(values)
