"""From a name in an expression to its criterion: families with their numbers, indicators with theirs."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from flows.kernels.indicators.declaration import Indicator, IndicatorError
from flows.kernels.indicators.registry import INDICATORS, choose
from flows.scans.criteria import CRITERIA, Criterion, Origin

_FAMILIES = [
    (re.compile(name.replace("{n}", r"([1-9]\d{0,3})")), criterion)
    for name, criterion in CRITERIA.items()
    if "{n}" in name
]
_INDICATOR = Criterion(
    name="",
    origin=Origin.INDICATOR,
    meaning="An output of an indicator",
    unit="as the indicator's definition says",
)


@dataclass(frozen=True)
class Series:
    """An indicator, or a series like one, with its parameters in order of the declaration."""

    indicator: Indicator
    parameters: tuple[float, ...]

    @property
    def key(self) -> tuple[str, tuple[float, ...]]:
        """What it is known by: two of the same key have the same values."""
        return self.indicator.name, self.parameters

    @property
    def width(self) -> int:
        """Floats of state of a slot."""
        return self.indicator.width(*map(int, self.parameters))


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A criterion as an expression names it.

    Parameters
    ----------
    criterion : Criterion
        Its declaration.
    formula : str
        For a formula its text, with ``{n}`` filled in.
    series : Series or None
        The series or indicator with its parameters.
    output : int
        Which of the series' outputs.
    """

    criterion: Criterion
    formula: str = ""
    series: Series | None = None
    output: int = 0


class UnknownCriterionError(ValueError):
    """A name that is no criterion's; the message names the nearest."""


def resolve(name: str) -> Resolved:
    """The criterion of that name.

    Raises
    ------
    UnknownCriterionError
        With the nearest known name, or what is wrong with its numbers.

    Examples
    --------
    >>> resolve("change_5d").formula
    'close / close_ago_5d - 1'
    >>> resolve("macd_12_26_9_signal").output
    1
    """
    known = CRITERIA.get(name)
    number = ""
    if known is None:
        for pattern, family in _FAMILIES:
            match = pattern.fullmatch(name)
            if match:
                known, number = family, match[1]
                break
    if known is None:
        return _indicator(name)
    if known.origin is Origin.FORMULA:
        return Resolved(criterion=known, formula=known.source.replace("{n}", number))
    if known.series is None:
        return Resolved(criterion=known)
    parameters = (float(number),) if number else ()
    for value, parameter in zip(parameters, known.series.parameters, strict=True):
        if value > parameter.maximum:
            raise UnknownCriterionError(f"{name}: at most {parameter.maximum:g} {parameter.name}")
    return Resolved(
        criterion=known,
        series=Series(known.series, parameters),
        output=known.series.outputs.index(known.source),
    )


def _indicator(name: str) -> Resolved:
    """The output of an indicator that has this name."""
    suffixes = {suffix for one in INDICATORS.values() for suffix in one.outputs}
    wrong = ""
    for suffix in sorted(suffixes):
        if not name.endswith(suffix):
            continue
        try:
            chosen = choose(name.removesuffix(suffix))
        except IndicatorError as error:
            if any(name.startswith(f"{stem}_") for stem in INDICATORS):
                wrong = wrong or str(error)
            continue
        # All outputs: a name may also choose one of them, and then says nothing of its place.
        whole = len(chosen.outputs) == len(chosen.indicator.outputs)
        if whole and name in chosen.outputs:
            return Resolved(
                criterion=_INDICATOR,
                series=Series(chosen.indicator, chosen.parameters),
                output=chosen.outputs.index(name),
            )
    raise UnknownCriterionError(wrong or f"no criterion {name!r}{_nearest(name)}")


def _nearest(name: str) -> str:
    known = [one.replace("{n}", "20") for one in CRITERIA]
    known += [
        one for indicator in INDICATORS.values() for one in choose(indicator.default_name).outputs
    ]
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; is {near[0]} meant?" if near else "; docs/scanner.md lists them"
