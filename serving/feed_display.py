"""The progress of a feed, on standard error."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from connectors.feeds.options import FeedProgress
from serving.times import wall_text


class FeedDisplay:
    """A line with a bar: bytes read, rows, rows a second, event time. Silent where nobody looks."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rejected]:,} rejected"),
            TextColumn("at {task.fields[time]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._progress.add_task(
            "feed", total=None, rows=0, rejected=0, time=""
        )

    def show(self, progress: FeedProgress) -> None:
        """Show how far the feed is."""
        self._progress.update(
            self._task,
            completed=progress.bytes_done,
            total=progress.bytes_total,
            rows=progress.rows,
            rejected=progress.rejected,
            time=wall_text(progress.ts_event_ns),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
