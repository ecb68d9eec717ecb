"""Great Expectations suites derived from the checks of a topic, and what they say of measures.

ClickHouse counts (`connectors.quality_measures`); the suites judge the counts: a batch has a row a day (or
a symbol and day) and a column a check, and each expectation bounds one column. So an expectation is asked of
thousands of values and not of millions of rows in pandas.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.quality_measures import Measured
from schemas.quality import PER_SYMBOL, Check, checks
from schemas.topic import Topic

with warnings.catch_warnings():
    # Its parser of YAML imports what Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.core.expect_column_values_to_be_between import (
        ExpectColumnValuesToBeBetween,
    )

PASSED, FAILED, NOT_JUDGED = "passed", "failed", "not_judged"


def suite(topic: Topic, *, per_symbol: bool = False) -> gx.ExpectationSuite:
    """The suite of a topic's checks of all rows of a day, or of those that are judged by symbol.

    Each expectation's column is named as the check, and its ``meta`` has what `schemas.quality` declares.
    """
    wanted = [check for check in checks(topic) if (check.kind in PER_SYMBOL) == per_symbol]
    scope = "symbols" if per_symbol else "days"
    return gx.ExpectationSuite(
        name=f"{topic.identifier} {scope}", expectations=[_expectation(one) for one in wanted]
    )


def judge(measured: Sequence[Measured]) -> list[pl.DataFrame]:
    """The measures of each topic with a column ``status``, as its suites say.

    Parameters
    ----------
    measured : sequence of Measured
        A topic each.
    """
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    frames = context.data_sources.add_pandas("measures")
    judged = []
    for given in measured:
        one = replace(given, measures=_without_nan(given.measures))
        failed: set[tuple[int, str, str | None]] = set()
        for per_symbol in (False, True):
            wide = _wide(one, per_symbol=per_symbol)
            if wide is None:
                continue
            wanted = suite(one.topic, per_symbol=per_symbol)
            asset = frames.add_dataframe_asset(wanted.name)
            whole = asset.add_batch_definition_whole_dataframe("all")
            batch = whole.get_batch(batch_parameters={"dataframe": wide.to_pandas()})
            result = batch.validate(wanted, result_format="COMPLETE")
            failed |= _failed(result, wide.select("day", "symbol").rows())
        judged.append(_with_status(one.measures, failed))
    return judged


def _without_nan(measures: pl.DataFrame) -> pl.DataFrame:
    """What is not a number was not observed: nothing is beyond a limit with it, so that it would pass."""
    none = pl.col("observed").is_nan().fill_null(value=False)
    return measures.with_columns(
        observed=pl.col("observed").fill_nan(None),
        note=pl.when(none).then(pl.lit("what was observed is no number")).otherwise("note"),
    )


def _expectation(check: Check) -> Any:
    # GX leaves nulls out: what was not observed is not judged.
    return ExpectColumnValuesToBeBetween(
        column=check.name,
        min_value=check.limit_low,
        max_value=check.limit_high,
        meta={
            "kind": str(check.kind),
            "fields": list(check.fields),
            "meaning": check.meaning,
            "parameters": check.parameters,
        },
    )


def _wide(measured: Measured, *, per_symbol: bool) -> pl.DataFrame | None:
    """A row a day (and symbol), a column a check; None without rows or checks."""
    names = [one.name for one in measured.checks if (one.kind in PER_SYMBOL) == per_symbol]
    mine = measured.measures.filter(pl.col("check").is_in(names))
    if mine.is_empty():
        return None
    wide = mine.pivot("check", index=["day", "symbol"], values="observed")
    missing = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in wide.columns]
    return wide.with_columns(missing)


def _failed(result: Any, rows: list[tuple[int, str | None]]) -> set[tuple[int, str, str | None]]:
    """Day, check and symbol of what is not as expected; ``rows`` has day and symbol of each row."""
    failed = set()
    for one in result.results:
        name = one.expectation_config.kwargs["column"]
        if one.exception_info and one.exception_info.get("raised_exception"):
            raise RuntimeError(f"{name}: {one.exception_info['exception_message']}")
        for at in one.result.get("unexpected_index_list") or []:
            day, symbol = rows[at]
            failed.add((day, name, symbol))
    return failed


def _with_status(measures: pl.DataFrame, failed: set[tuple[int, str, str | None]]) -> pl.DataFrame:
    statuses = [
        NOT_JUDGED if observed is None else FAILED if (day, check, symbol) in failed else PASSED
        for day, check, symbol, observed in measures.select(
            "day", "check", "symbol", "observed"
        ).iter_rows()
    ]
    return measures.with_columns(pl.Series("status", statuses, dtype=pl.String))
