"""The page on indicators and the view of the default ones, derived from the declarations.

``python -m flows.indicator_pages`` writes both; with names, such as ``rsi_21 cdl_doji``, it prints the view for
those instead, for whoever has chosen others in the settings.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.kernels.indicators.declaration import Indicator, Parameter
from flows.kernels.indicators.patterns import MEANINGS, PATTERNS
from flows.kernels.indicators.registry import (
    DEFAULT_INDICATORS,
    INDICATORS,
    choose,
    chosen_names,
)

_ROOT = Path(__file__).resolve().parents[1]
PAGE = _ROOT / "docs" / "indicators.md"
VIEW = _ROOT / "sql" / "views" / "5_indicators_wide.sql"

_HEAD = """# Indicators

Made from `flows/kernels/indicators/` by `python -m flows.indicator_pages`; change the declarations, not this page.

The flow `indicators` computes them on bars. Its setting says which, by name: the stem and all parameters in order,
`rsi_21` or `bbands_20_2.5`; one output alone with its name behind, `bbands_20_2.5_upper` or `cdl_doji`; all with
their default parameters, `all`:

```toml
[flows.indicators]
indicators = ["rsi_21", "bbands_20_2.5", "cdl_doji"]
```

A value is null while the indicator warms up, where it is undefined, and after a bar that lacks one of its inputs,
which changes nothing else. Wherever TA-Lib has the function, values are TA-Lib's, from the first one on.
"""


def page() -> str:
    """The whole page as Markdown."""
    defaults = ", ".join(f"`{name}`" for name in DEFAULT_INDICATORS)
    index = [f"- [`{one.default_name}`](#{one.name})" for one in INDICATORS.values()]
    parts = [_HEAD, f"Without a choice: {defaults}.", "\n".join(index)]
    parts += ["\n".join(_section(one)) for one in INDICATORS.values()]
    return "\n\n".join(part.strip("\n") for part in [*parts, "\n".join(_patterns())]) + "\n"


def view(names: Sequence[str]) -> str:
    """The view with one column a value of the indicators named, as SQL.

    Examples
    --------
    >>> print(view(["rsi_21"]))  # doctest: +ELLIPSIS
    -- One row a bar, one column an indicator ...
    CREATE OR REPLACE VIEW indicators_wide AS
    SELECT
        symbol,
        interval,
        ts_event,
        anyIf(value, name = 'rsi_21') AS rsi_21
    FROM indicators
    GROUP BY symbol, interval, ts_event
    ORDER BY symbol, interval, ts_event
    <BLANKLINE>
    """
    columns = [output for name in chosen_names(names) for output in choose(name).outputs]
    values = ",\n".join(f"    anyIf(value, name = '{name}') AS {_column(name)}" for name in columns)
    return (
        "-- One row a bar, one column an indicator (those of the default settings; others are in `indicators`).\n"
        "CREATE OR REPLACE VIEW indicators_wide AS\n"
        "SELECT\n    symbol,\n    interval,\n    ts_event,\n"
        f"{values}\n"
        "FROM indicators\n"
        "GROUP BY symbol, interval, ts_event\n"
        "ORDER BY symbol, interval, ts_event\n"
    )


def _column(name: str) -> str:
    return f"`{name}`" if "." in name else name


def _section(indicator: Indicator) -> Iterator[str]:
    chosen = choose(indicator.default_name)
    yield f"## {indicator.name}"
    yield ""
    yield indicator.definition
    yield ""
    yield f"- By default `{indicator.default_name}`, from {', '.join(indicator.inputs)}."
    if indicator.parameters:
        yield f"- Parameters: {'; '.join(map(_parameter, indicator.parameters))}."
    if indicator.name != "cdl":
        warm_ups = zip(chosen.outputs, chosen.warm_ups, strict=True)
        told = ", ".join(f"`{name}` after {bars} bars" for name, bars in warm_ups)
        yield f"- Gives {told}; unit: {indicator.unit}."
    yield f"- Source: {indicator.source}."


def _parameter(parameter: Parameter) -> str:
    kind = "whole, " if parameter.whole else ""
    return (
        f"{parameter.name} {parameter.default:g} ({kind}{parameter.minimum:g} to "
        f"{parameter.maximum:.0f})"
    )


def _patterns() -> Iterator[str]:
    yield "| value | after bars | pattern |"
    yield "|---|---|---|"
    for name, bars in PATTERNS.items():
        yield f"| `cdl_{name}` | {bars} | {MEANINGS[name]} |"


def main(names: Sequence[str]) -> None:
    """Write the page and the view, or print the view of the indicators named."""
    if names:
        sys.stdout.write(view(names))
        return
    PAGE.write_text(page(), encoding="utf-8")
    VIEW.write_text(view(DEFAULT_INDICATORS), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
