"""What an indicator is: its name, parameters, inputs, outputs, warm-up, definition, source and kernel.

A kernel takes all bars of a batch in order and keeps its state in a part of one array that all
indicators of a flow share::

    kernel(bars, slots, state, at, parameters, values, column)

    bars        float64, shape (n, 7): the columns of `BAR_COLUMNS`, NaN for null
    slots       int64, shape (n,): which symbol and interval each bar is of
    state       float64, shape (slots, width of all); changed; the indicator's part of a slot begins at
                `at`, is as wide as it declares, and is all 0 before the slot's first bar
    parameters  float64, shape (parameters,)
    values      float64, shape (n, outputs of all); the kernel writes its outputs from `column` on; NaN
                where the indicator is still warming up, or undefined

A bar that lacks one of the indicator's inputs changes nothing, and its values are NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BAR_COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "session")
OPEN, HIGH, LOW, CLOSE, VOLUME, VWAP, SESSION = range(7)


class IndicatorError(ValueError):
    """A name of an indicator that says nothing known; the message says what is known."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of an indicator; its place in the name is its place in the declaration.

    Parameters
    ----------
    name : str
        What it is.
    default : float
        Value in the default set.
    minimum : float
        Inclusive bound.
    whole : bool
        Whether it is an integer.
    """

    name: str
    default: float
    minimum: float
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """The declaration of an indicator.

    Parameters
    ----------
    name : str
        Stem of the name, such as ``rsi`` in ``rsi_14``.
    parameters : tuple of Parameter
        In order of the name.
    inputs : tuple of str
        Which of `BAR_COLUMNS` it needs.
    outputs : tuple of str
        Suffix of each output's name; empty for one that has the name itself.
    warm_up : callable
        Parameters to the number of bars before the first value.
    width : callable
        Parameters to the number of floats of state.
    kernel : callable
        See the module.
    definition : str
        What the value is, in one or two sentences.
    source : str
        Where the definition is from.
    unit : str
        Unit of the values.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ("",)
    warm_up: Callable[..., int]
    width: Callable[..., int]
    kernel: Callable[..., Any]
    definition: str
    source: str
    unit: str

    @property
    def default_name(self) -> str:
        """Name with the default parameters."""
        return "_".join([self.name, *(f"{parameter.default:g}" for parameter in self.parameters)])


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """An indicator with its parameters.

    Parameters
    ----------
    name : str
        As it was chosen, such as ``rsi_14``.
    indicator : Indicator
        Its declaration.
    parameters : tuple of float
        In order of the declaration.
    """

    name: str
    indicator: Indicator
    parameters: tuple[float, ...]

    @property
    def outputs(self) -> list[str]:
        """Names of its values."""
        return [self.name + suffix for suffix in self.indicator.outputs]

    @property
    def width(self) -> int:
        """Floats of state of a slot."""
        return self.indicator.width(*map(int, self.parameters))

    @property
    def warm_up(self) -> int:
        """Bars before the first value."""
        return self.indicator.warm_up(*map(int, self.parameters))
