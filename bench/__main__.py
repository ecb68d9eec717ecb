"""Runs the benchmarks and prints a table of each: ``python -m bench [NAME…] [--quick]``."""

import argparse
import importlib
import pkgutil
import sys
from time import perf_counter

from rich.console import Console
from rich.table import Table

import bench
from bench.report import Result

_PREFIX = "bench_"


def main() -> int:
    """Run what is asked for; 0 unless a benchmark fails to run."""
    known = sorted(
        module.name.removeprefix(_PREFIX)
        for module in pkgutil.iter_modules(bench.__path__)
        if module.name.startswith(_PREFIX)
    )
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="small and rough, to see that it runs")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    console = Console(width=max(Console().width, 150), highlight=False)
    started = perf_counter()
    figures = 0
    for name in options.names or known:
        console.print(f"bench: {name} …")
        begun = perf_counter()
        results: list[Result] = importlib.import_module(f"bench.{_PREFIX}{name}").run(
            quick=options.quick
        )
        # At once: what a later one does not live to tell is not lost with it.
        console.print(table_of(results))
        console.print(f"bench: {name} took {perf_counter() - begun:.1f} s")
        figures += len(results)
    console.print(f"{figures} figures in {perf_counter() - started:.0f} s")
    return 0


def table_of(results: list[Result]) -> Table:
    """The results as a table."""
    table = Table(show_lines=True)
    for name in ("what", "value", "unit", "wanted", "baseline", "ratio", "note"):
        table.add_column(name, justify="right" if name in ("value", "ratio") else "left")
    for one in results:
        baseline = "" if one.baseline is None else f"{_number(one.baseline)} ({one.baseline_name})"
        ratio = "" if one.ratio is None else f"{one.ratio:,.2f}"
        table.add_row(one.name, _number(one.value), one.unit, one.wanted, baseline, ratio, one.note)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


if __name__ == "__main__":
    sys.exit(main())
