"""What a person sees of a demo: a live table while it runs, and the summary at its end."""

from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from serving.demo_watch import Watch
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.demo import DemoResult


class DemoDisplay:
    """A table of rows by topic that changes while the demo runs, on standard error.

    Parameters
    ----------
    settings : Settings
        Where everything is.
    silent : bool
        Whether nothing is shown; nothing is either where standard error is no terminal but what is said.
    """

    def __init__(self, settings: Settings, *, silent: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._silent = silent
        self._live = Live(
            console=self._console, transient=True, refresh_per_second=5, auto_refresh=True
        )
        self._shown = self._console.is_terminal and not silent
        self._said = ""
        self._table = Table()
        self._home = settings.home

    def say(self, what: str) -> None:
        """Tell what is being done now."""
        self._said = what
        if self._shown:
            self._live.update(self._view())
        elif not self._silent:
            self._console.print(f"demo: {what}", soft_wrap=True)

    def show(self, watch: Watch, memory_mib: float) -> None:
        """Show how far it is."""
        if not self._shown:
            return
        table = Table("topic", "rows in ClickHouse", "in the lake")
        for name in (name for name, rows in watch.landed.items() if rows):
            table.add_row(name, f"{watch.landed[name]:,}", f"{watch.in_lake[name]:,}")
        p50, p99 = (watch.latencies.percentile_ms(percent) for percent in (50, 99))
        table.caption = (
            f"{watch.rows_per_second:,.0f} rows/s, latency p50 {p50 or 0:,.1f} ms, "
            f"p99 {p99 or 0:,.1f} ms, memory {memory_mib:,.0f} MiB"
        )
        self._table = table
        self._live.update(self._view())

    def _view(self) -> Group:
        return Group(self._table, Text(f"{self._said} … ({self._home})"))

    def __enter__(self) -> Self:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def print_summary(result: "DemoResult") -> None:
    """Print what happened, on standard output."""
    console = Console(highlight=False)
    table = Table("topic", "rows in the log", "in ClickHouse", "in the lake", title="Rows")
    for name, counts in result.topics.items():
        table.add_row(name, *(f"{count:,}" for count in counts.values()))
    console.print(table)
    p50, p99 = result.latency_ms["p50"], result.latency_ms["p99"]
    console.print(
        f"{result.rows_per_second:,.0f} rows/s over {result.seconds:,.1f} s, from the first append until "
        "all was in ClickHouse and in the lake"
    )
    console.print(
        f"From {result.latency_from} until readable in ClickHouse: p50 {p50 or 0:,.1f} ms, "
        f"p99 {p99 or 0:,.1f} ms"
    )
    console.print(f"Memory of all programs, at most: {result.memory_mib_max:,.0f} MiB")
    for query in result.queries:
        _print_query(console, query)
    receipts = Table("topic", "rows", "digest", title="Receipt")
    for name, one in result.receipt.items():
        receipts.add_row(name, f"{one['rows']:,}", str(one["digest"]))
    console.print(receipts)
    ok = result.audit["ok"]
    console.print(
        "Audit: every row is accounted for" if ok else "Audit: FAILED, see `tapeflow audit`",
        style="bold green" if ok else "bold red",
    )
    console.print(f"It all lies in {result.home}. To go on with it:")
    for command in (
        f"export TAPEFLOW_HOME={result.home}",
        "tapeflow sql 'SELECT * FROM bars LIMIT 10'",
        "tapeflow audit",
        "tapeflow replay --compare",
    ):
        console.print(f"  {command}", soft_wrap=True)


def _print_query(console: Console, query: dict[str, Any]) -> None:
    table = Table(*query["columns"], title=query["title"], caption=query["sql"])
    for row in query["rows"]:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
