"""``docs/scanner.md``, derived from the criteria: ``python -m flows.scans.docs`` writes it."""

from collections.abc import Iterator
from pathlib import Path

from flows.kernels.indicators.registry import INDICATORS, choose
from flows.scanner import DEFAULT_SCANS
from flows.scans.criteria import CRITERIA, Criterion, Origin

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scanner.md"

_HEAD = """# Scanner

Made from `flows/scans/` by `python -m flows.scans.docs`; change the declarations, not this page.

The flow `scanner` asks saved expressions of every symbol, after each bar of the expression's interval, and
writes a row of `scans` where a symbol begins to match (`entered`) or ceases to (`left`), with the values of all
criteria that the expression names. Expressions are saved in `tapeflow.toml`:

```toml
[flows.scanner.scans.pullback]
expression = "rsi_14 < 30 and change_1d > 2% and close crosses above sma_50"
interval = "1d"
```

Scans in the settings stand in place of those saved by default. Other scans are other parameters: a running flow
goes on with them from there on when it is started with `--new-epoch`.

## The language

- Comparisons `<` `<=` `>` `>=` `==` `!=`; arithmetic `+` `-` `*` `/` and brackets; `abs(a)`, `min(a, b, …)`,
  `max(a, b, …)`; conditions joined by `and`, `or`, `not`.
- `a crosses above b` holds at the first bar at which a is above b, where it was not at the bar before;
  `crosses below` the other way.
- `2%` is 0.02; `5K`, `5M`, `5B` are thousands, millions, billions. Texts stand in quotes: `sector == "Energy"`.
- What is undefined (an indicator that warms up, a symbol without a book) neither matches nor fails to: `not` of it
  is undefined too, and only what is true matches.
- An error says at which character, and names the nearest criterion.

`{n}` stands for a whole number: `change_5` is the change over 5 bars, `change_5d` over 5 sessions. "The session"
is that of the bar, so that `1m` bars can ask for the session so far. Criteria of book and breadth are the newest
that had come, and were not later than the bar's end: made for live trading.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD, "\n".join(_saved())]
    for origin in Origin:
        rows = [one for one in CRITERIA.values() if one.origin is origin]
        if rows:
            parts.append("\n".join(_section(origin, rows)))
    parts.append("\n".join(_indicators()))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _saved() -> Iterator[str]:
    yield "## Saved by default"
    yield ""
    yield "| scan | interval | expression |"
    yield "|---|---|---|"
    for name, scan in DEFAULT_SCANS.items():
        yield f"| `{name}` | `{scan.interval}` | `{scan.expression}` |"


def _section(origin: Origin, rows: list[Criterion]) -> Iterator[str]:
    yield f"## From {origin}"
    yield ""
    formula = origin is Origin.FORMULA
    yield (
        "| criterion | unit | meaning | formula |" if formula else "| criterion | unit | meaning |"
    )
    yield "|---|---|---|---|" if formula else "|---|---|---|"
    for one in rows:
        end = f" `{one.source}` |" if formula else ""
        yield f"| `{one.name}` | {one.unit} | {one.meaning} |{end}"


def _indicators() -> Iterator[str]:
    yield "## From indicators"
    yield ""
    yield "Every output of every indicator, with any parameters; here with their defaults."
    yield ""
    yield "| criterion | definition |"
    yield "|---|---|"
    for indicator in INDICATORS.values():
        names = ", ".join(f"`{name}`" for name in choose(indicator.default_name).outputs)
        yield f"| {names} | {indicator.definition} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
