"""Measures a topic's landed rows by day: what each check observed, not yet judged."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.quality_sources import Source, blocks
from connectors.quality_sql import (
    days_query,
    rows_query,
    symbols_query,
    twice_query,
    unique_query,
    volumes_query,
)
from schemas.arrays import Int64s
from schemas.opening_hours import opening_hours
from schemas.quality import PER_SYMBOL, Check, CheckKind, checks
from schemas.topic import Topic

# Rows that one query may have to sort: a few GB at most.
_BLOCK_ROWS = 20_000_000
_FIRST = ("ts", "partition", "offset", "row")
MEASURES = pl.Schema(
    {
        "day": pl.Int64,
        "check": pl.String,
        "symbol": pl.String,
        "rows": pl.Int64,
        "unexpected": pl.Int64,
        "observed": pl.Float64,
        **{f"first_{name}": pl.Int64 for name in _FIRST},
        "note": pl.String,
        "position": pl.String,
    }
)
"""Columns of what `measure` gives: a row a check, day and symbol; ``observed`` is null where there is too little."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of a topic.

    Parameters
    ----------
    topic : Topic
        Of what.
    checks : tuple of Check
        Which.
    days : polars.DataFrame
        ``day``, ``rows`` and ``position`` of the days that have rows.
    measures : polars.DataFrame
        As `MEASURES` says, in order of day, check and symbol.
    """

    topic: Topic
    checks: tuple[Check, ...]
    days: pl.DataFrame
    measures: pl.DataFrame


def measure(
    source: Source,
    topic: Topic,
    calendar: str,
    *,
    first_day: int | None = None,
    last_day: int | None = None,
    on_day: Callable[[int], None] | None = None,
) -> Measured:
    """Measure a topic's rows of some days (all by default).

    Parameters
    ----------
    source : Source
        Where the rows are.
    topic : Topic
        Whose rows.
    calendar : str
        Exchange calendar; gaps, stale quotes and jumps are looked for while it is open.
    first_day, last_day : int or None
        UTC days since 1970, inclusive.
    on_day : callable or None
        Told how many days were measured.
    """
    wanted = checks(topic)
    every = _days(source, topic)
    days = every.filter(
        pl.col("day").is_between(
            first_day if first_day is not None else -(1 << 40),
            last_day if last_day is not None else 1 << 40,
        )
    )
    parts = [pl.DataFrame(schema=MEASURES)]
    for first, last in blocks(days["day"].to_list(), days["rows"].to_list(), _BLOCK_ROWS):
        block = _Block(source, topic, days.filter(pl.col("day").is_between(first, last)), calendar)
        parts += block.measures(wanted)
        if on_day is not None:
            on_day(block.days.height)
    parts += [
        _volumes(source, topic, check, every, days)
        for check in wanted
        if check.kind is CheckKind.VOLUME and days.height
    ]
    order = pl.DataFrame({"check": [one.name for one in wanted], "at": range(len(wanted))})
    measures = pl.concat(parts).join(order, on="check").sort("day", "at", "symbol").drop("at")
    return Measured(topic=topic, checks=wanted, days=days, measures=measures)


def _days(source: Source, topic: Topic) -> pl.DataFrame:
    schema = {"day": pl.Int64, "rows": pl.Int64, "position": pl.String}
    if not source.has(topic):
        return pl.DataFrame(schema=schema)
    found = source.query(days_query(topic, source.rows(topic)))
    return found.select(pl.col(name).cast(kind) for name, kind in schema.items())


@dataclass(frozen=True)
class _Block:
    source: Source
    topic: Topic
    days: pl.DataFrame
    calendar: str

    def measures(self, wanted: Sequence[Check]) -> Iterator[pl.DataFrame]:
        first, last = int(self.days["day"][0]), int(self.days["day"][-1])
        rows = self.source.rows(self.topic, first, last)
        of_rows = [
            check
            for check in wanted
            if check.kind not in PER_SYMBOL and check.kind is not CheckKind.UNIQUENESS
        ]
        yield from self._rows(rows, of_rows)
        hours = opening_hours(self.calendar, first, last)
        for check in wanted:
            if check.kind is CheckKind.UNIQUENESS:
                yield self._unique(rows, check)
            elif check.kind is CheckKind.CROSSED:
                found = self.source.query(symbols_query(self.topic, rows, check, hours))
                yield self._judgeable(found, check, "no quote with both sides")
            elif check.kind in PER_SYMBOL and check.kind is not CheckKind.VOLUME:
                yield from self._open_hours(rows, check, hours)

    def _rows(self, rows: str, wanted: Sequence[Check]) -> Iterator[pl.DataFrame]:
        found = self.source.query(rows_query(self.topic, rows, wanted))
        for at, check in enumerate(wanted):
            names = {f"unexpected_{at}": "unexpected"}
            names |= {f"first_{name}_{at}": f"first_{name}" for name in _FIRST}
            yield self._of_day(found.select("day", *names).rename(names), check)

    def _unique(self, rows: str, check: Check) -> pl.DataFrame:
        found = self.source.query(unique_query(self.topic, rows, check))
        if (found["unexpected"] > 0).any():
            first = self.source.query(twice_query(self.topic, rows, check))
        else:
            first = pl.DataFrame(schema={"day": pl.Int64})
        return self._of_day(found.join(first, on="day", how="left"), check)

    def _of_day(self, found: pl.DataFrame, check: Check) -> pl.DataFrame:
        """Measures of a check of all rows of a day."""
        named = found.join(self.days, on="day").with_columns(
            observed=pl.col("unexpected").cast(pl.Float64)
        )
        return _framed(named, check)

    def _open_hours(self, rows: str, check: Check, hours: Int64s) -> Iterator[pl.DataFrame]:
        closed = self.days.filter(~pl.col("day").is_in(hours[:, 0].tolist()))
        note = pl.lit(f"{self.calendar} is closed")
        yield _framed(closed.with_columns(unexpected=0, note=note), check)
        if closed.height == self.days.height:
            return
        found = self.source.query(symbols_query(self.topic, rows, check, hours))
        least = check.parameters.get("rows_min", 0)
        few = f"fewer than {least} rows while {self.calendar} is open"
        if check.kind is CheckKind.JUMP:
            few = f"fewer than {check.parameters['minutes_min']} minutes with trades, or no price moved"
        found = found.with_columns(
            observed=pl.when(pl.col("rows") >= least).then("observed").otherwise(None)
        )
        yield self._judgeable(found, check, few)
        silent = self.days.filter(~pl.col("day").is_in([*closed["day"], *found["day"]]))
        none = pl.lit(f"no rows while {self.calendar} is open")
        yield _framed(silent.with_columns(unexpected=0, note=none), check)

    def _judgeable(self, found: pl.DataFrame, check: Check, why_not: str) -> pl.DataFrame:
        """Measures by symbol; with the reason where nothing was observed."""
        none = pl.col("observed").is_null()
        found = found.with_columns(
            pl.when(none).then(0).otherwise("unexpected").alias("unexpected"),
            pl.when(none).then(pl.lit(why_not)).otherwise(None).alias("note"),
        )
        position = self.days.select("day", "position")
        return _framed(found.join(position, on="day"), check)


def _volumes(
    source: Source, topic: Topic, check: Check, every: pl.DataFrame, days: pl.DataFrame
) -> pl.DataFrame:
    """Volume of each symbol and day against the mean of its days before."""
    given = check.parameters
    count, least = given["days"], given["days_min"]
    first, last = int(days["day"][0]), int(days["day"][-1])
    rows = source.rows(topic, first - 2 * count, last)
    found = source.query(volumes_query(topic, rows, check))
    volumes = found.select("symbol", "day", "rows", "volume").sort("symbol", "day")
    measured = []
    for day, position in days.select("day", "position").iter_rows():
        before = (
            volumes.filter(pl.col("day").is_between(day - 2 * count, day - 1))
            .group_by("symbol", maintain_order=True)
            .agg(
                norm=pl.col("volume").tail(count).mean(),
                norm_days=pl.col("volume").tail(count).len(),
                norm_rows=pl.col("rows").tail(count).sum(),
            )
        )
        today = volumes.filter(pl.col("day") == day).drop("day")
        one = today.join(before, on="symbol", how="full", coalesce=True).with_columns(
            pl.col("rows", "volume", "norm_days", "norm_rows").fill_null(0)
        )
        # A symbol that has a norm and no rows is the worst case of too little.
        enough = (pl.col("norm_days") >= least) & (pl.col("norm") > 0)
        ratio = pl.when(enough).then(pl.col("volume") / pl.col("norm")).otherwise(None)
        bad = (ratio < check.limit_low) | (ratio > check.limit_high)
        had = every.filter(pl.col("day").is_between(day - 2 * count, day - 1)).height
        measured.append(
            one.with_columns(
                day=pl.lit(day, pl.Int64),
                observed=ratio,
                unexpected=pl.when(bad.fill_null(value=False)).then(pl.col("rows")).otherwise(0),
                note=pl.when(enough)
                .then(None)
                .otherwise(
                    pl.format(
                        "{} days before it have trades, {} are needed", "norm_days", pl.lit(least)
                    )
                ),
                position=pl.format(
                    f"{position}; {had} days before, {{}} rows of {{}} of them",
                    "norm_rows",
                    "norm_days",
                ),
            )
        )
    return _framed(pl.concat(measured), check)


def _framed(found: pl.DataFrame, check: Check) -> pl.DataFrame:
    """Exactly `MEASURES`; what is lacking is null, and so is the first row where none is unexpected."""
    named = found.with_columns(check=pl.lit(check.name))
    missing = [name for name in MEASURES if name not in named.columns]
    whole = named.with_columns(pl.lit(None).alias(name) for name in missing)
    none = pl.col("unexpected") == 0
    return whole.select(
        (
            pl.when(none).then(None).otherwise(pl.col(name)).alias(name)
            if name.startswith("first_")
            else pl.col(name)
        ).cast(kind)
        for name, kind in MEASURES.items()
    )
