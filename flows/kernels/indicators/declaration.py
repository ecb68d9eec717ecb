"""What an indicator is: its name, parameters, inputs, outputs, warm-up, definition, source and kernel.

A kernel takes all bars of a batch in order and keeps its state in an array of its own::

    kernel(bars, slots, state, parameters, values)

    bars        float64, shape (7, n): the columns of `BAR_COLUMNS`, NaN for null
    slots       int64, shape (n,): which symbol and interval each bar is of
    state       float64, shape (slots, width); changed; as wide as the indicator declares, and all 0
                before the slot's first bar
    parameters  float64, shape (parameters,)
    values      float64, shape (outputs, n); NaN where the indicator is still warming up, or undefined

A bar that lacks one of the indicator's inputs changes nothing, and its values are NaN.

Kernels go run by run, a run being bars of one slot that follow one another: what is carried from bar to
bar is in local variables between the begin and the end of a run. A whole series of one symbol (a replay, a
benchmark) is one run; in live trading a run is a bar, and costs no more than without.
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
    minimum, maximum : float
        Inclusive bounds. A longer window than 100,000 is a slip of the pen, and would be a state to match.
    whole : bool
        Whether it is an integer.
    """

    name: str
    default: float
    minimum: float
    maximum: float = 100_000
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
        Parameters to the number of bars before the first value; a tuple where the outputs differ.
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
    warm_up: Callable[..., int | tuple[int, ...]]
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
        As it was chosen, such as ``rsi_14``, or ``bbands_20_2_upper`` for one output.
    indicator : Indicator
        Its declaration.
    parameters : tuple of float
        In order of the declaration.
    kept : tuple of int
        Which of its outputs were chosen: all, or the one that the name says.
    """

    name: str
    indicator: Indicator
    parameters: tuple[float, ...]
    kept: tuple[int, ...]

    @property
    def outputs(self) -> list[str]:
        """Names of the values chosen."""
        if len(self.kept) < len(self.indicator.outputs):
            return [self.name]
        return [self.name + suffix for suffix in self.indicator.outputs]

    @property
    def width(self) -> int:
        """Floats of state of a slot."""
        return self.indicator.width(*map(int, self.parameters))

    @property
    def warm_ups(self) -> tuple[int, ...]:
        """Bars before the first value of each output chosen."""
        bars = self.indicator.warm_up(*map(int, self.parameters))
        return tuple(bars[at] if isinstance(bars, tuple) else bars for at in self.kept)
