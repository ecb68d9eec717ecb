"""The registry of indicators, and the way from a name such as ``rsi_21`` to one with parameters."""

from flows.kernels.indicators.averages import EMA, SMA, WMA
from flows.kernels.indicators.declaration import Chosen, Indicator, IndicatorError
from flows.kernels.indicators.momentum import CCI, MACD, RSI, STOCH
from flows.kernels.indicators.ranges import ADX, ATR, BBANDS
from flows.kernels.indicators.volume import OBV, VWAP_SESSION

# A longer window than this is a slip of the pen, and would be a state to match.
_LARGEST = 100_000

INDICATORS: dict[str, Indicator] = {
    indicator.name: indicator
    for indicator in (
        SMA,
        EMA,
        WMA,
        RSI,
        MACD,
        BBANDS,
        STOCH,
        ADX,
        ATR,
        CCI,
        OBV,
        VWAP_SESSION,
    )
}

DEFAULT_INDICATORS: tuple[str, ...] = tuple(
    indicator.default_name for indicator in INDICATORS.values()
)


def choose(name: str) -> Chosen:
    """The indicator and parameters that a name says.

    Parameters
    ----------
    name : str
        Stem and all parameters in order, with underscores between: ``rsi_14``, ``bbands_20_2.5``.

    Raises
    ------
    IndicatorError
        Saying what was needed, for an unknown stem or parameters that do not fit.

    Examples
    --------
    >>> choose("macd_12_26_9").outputs
    ['macd_12_26_9', 'macd_12_26_9_signal', 'macd_12_26_9_hist']
    >>> choose("rsi_21").warm_up
    21
    """
    stems = [stem for stem in INDICATORS if name == stem or name.startswith(f"{stem}_")]
    if not stems:
        raise IndicatorError(
            f"indicator {name!r} is not known; there are {', '.join(INDICATORS)} (with parameters: "
            f"{', '.join(DEFAULT_INDICATORS)})"
        )
    indicator = INDICATORS[max(stems, key=len)]
    texts = name[len(indicator.name) + 1 :].split("_") if name != indicator.name else []
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
        if not parameter.minimum <= value <= _LARGEST or f"{value:g}" != text:
            kind = "a whole number" if parameter.whole else "a number"
            raise IndicatorError(
                f"indicator {name!r}: {parameter.name} must be {kind} from {parameter.minimum:g} to "
                f"{_LARGEST}, plainly written, as in {indicator.default_name}; {text!r} is not"
            )
        values.append(value)
    return Chosen(name=name, indicator=indicator, parameters=tuple(values))
