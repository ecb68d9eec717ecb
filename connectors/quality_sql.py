"""The checks of data quality as ClickHouse SQL: counts by day, and by symbol and day, over a topic's landed rows.

Everything that looks at rows is done by ClickHouse, be they in a table or in files of the lake; what comes
back has a row a day, or a row a symbol and day.
"""

from collections.abc import Sequence

from schemas.arrays import Int64s
from schemas.quality import Check, CheckKind
from schemas.topic import Topic

_POSITION = "_partition, _offset, _row"
_FIRST_TYPES = ("ts", "partition", "offset", "row")


def days_query(topic: Topic, source: str) -> str:
    """Days since 1970 with their count of rows and largest offsets by partition, ascending."""
    return f"""
        SELECT day, sum(n) AS rows,
            arrayStringConcat(groupArray(concat(toString(_partition), ':', toString(last))), ',') AS position
        FROM (
            SELECT {_day(topic)} AS day, _partition, count() AS n, max(_offset) AS last
            FROM {source} GROUP BY day, _partition ORDER BY day, _partition)
        GROUP BY day ORDER BY day"""  # noqa: S608 - names of declared topics and fields


def rows_query(topic: Topic, source: str, wanted: Sequence[Check]) -> str:
    """For each day and check *i* of rows: ``unexpected_i``, and the first such row's time and position."""
    columns = []
    for at, check in enumerate(wanted):
        bad = f"ifNull({predicate(topic, check)}, 0)"
        first = f"minIf(({_ns(topic)}, {_POSITION}), {bad})"
        columns.append(f"countIf({bad}) AS unexpected_{at}")
        columns += _first_columns(first, f"_{at}")
    listed = ",\n            ".join(columns)
    return f"""
        SELECT {_day(topic)} AS day,
            {listed}
        FROM {source} GROUP BY day ORDER BY day"""  # noqa: S608


def unique_query(topic: Topic, source: str, check: Check) -> str:
    """For each day: ``unexpected``, the rows that another one equals in a check's fields."""
    if check.fields == ("_partition", "_offset", "_row"):
        # A tenth of the time of counting triples: rows of a record are small numbers, for bitmaps.
        return f"""
        SELECT day, toInt64(sum(n - distinct)) AS unexpected
        FROM (
            SELECT {_day(topic)} AS day, _partition, _offset, count() AS n,
                groupBitmap(toUInt32(_row)) AS distinct
            FROM {source} GROUP BY day, _partition, _offset)
        GROUP BY day ORDER BY day"""  # noqa: S608
    fields = ", ".join(f"`{name}`" for name in check.fields)
    return f"""
        SELECT {_day(topic)} AS day, toInt64(count() - uniqExact(({fields}))) AS unexpected
        FROM {source} GROUP BY day ORDER BY day"""  # noqa: S608


def twice_query(topic: Topic, source: str, check: Check) -> str:
    """For each day that has some: the first row that another one equals in a check's fields."""
    fields = ", ".join(f"`{name}`" for name in check.fields)
    return f"""
        SELECT day, {", ".join(_first_columns("min(least)"))}
        FROM (
            SELECT {_day(topic)} AS day, {fields}, min(({_ns(topic)}, {_POSITION})) AS least
            FROM {source} GROUP BY day, {fields} HAVING count() > 1)
        GROUP BY day ORDER BY day"""  # noqa: S608


def predicate(topic: Topic, check: Check) -> str:
    """What holds of a row that is not as expected; NULL where it does not speak of the row."""
    given = check.parameters
    name = f"`{check.fields[0]}`"
    if check.kind is CheckKind.COMPLETENESS:
        return f"{name} = ''" if "empty" in given else f"isNull({name})"
    if check.kind is CheckKind.RANGE:
        for bound, sign in (("above", "<="), ("minimum", "<"), ("maximum", ">")):
            if bound in given:
                return f"{name} {sign} {given[bound]!r}"
        return f"NOT isFinite({name})"
    if check.kind is CheckKind.VALUES:
        return f"{name} NOT IN ({_listed(given['allowed'])})"
    if check.kind is CheckKind.RULE:
        gaps = (" AND " if given["any_of"] else " OR ").join(
            f"isNull(`{need}`)" for need in given["needs"]
        )
        return f"{name} IN ({_listed(given['values'])}) AND ({gaps})"
    if check.kind is CheckKind.SKEW:
        return f"{_ns(topic)} > toUnixTimestamp64Nano(_appended) + {given['skew_ns_max']}"
    raise ValueError(f"{topic.name}: {check.name} is no check of single rows")


def symbols_query(topic: Topic, source: str, check: Check, hours: Int64s) -> str:
    """For each day and symbol: ``rows``, ``observed``, ``unexpected``, and the first unexpected one.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    source : str
        What stands behind FROM.
    check : Check
        Of a kind that is judged by symbol, but for volume (see `volumes_query`).
    hours : numpy.ndarray of int64, shape (n, 3)
        Open times, as `schemas.opening_hours` gives them.
    """
    if check.kind is CheckKind.CROSSED:
        return _crossed(topic, source, check)
    if check.kind is CheckKind.GAP:
        rows = _open(topic, source, hours)
        times = f"SELECT day, open, close, symbol, ns, 1 AS counts FROM ({rows})"  # noqa: S608
        return _longest(times, check.parameters["seconds"])
    if check.kind is CheckKind.STALE:
        return _longest(_changes(topic, source, check, hours), check.parameters["seconds"])
    if check.kind is CheckKind.JUMP:
        return _jumps(topic, source, check, hours)
    raise ValueError(f"{topic.name}: {check.name} is not judged by symbol in one query")


def volumes_query(topic: Topic, source: str, check: Check) -> str:
    """For each day and symbol: ``rows`` and ``volume``."""
    given = check.parameters
    return f"""
        SELECT {_day(topic)} AS day, toString(`{topic.key}`) AS symbol, toInt64(count()) AS rows,
            sum(`{given["size"]}`) AS volume
        FROM {source} WHERE {given["where"]} GROUP BY day, symbol ORDER BY day, symbol"""  # noqa: S608


def _crossed(topic: Topic, source: str, check: Check) -> str:
    given = check.parameters
    sides = (given["bid"], given["ask"], *given["sizes"])
    columns = ", ".join(f"`{name}` AS v{at}" for at, name in enumerate(sides))
    rows = f"""
        SELECT {_day(topic)} AS day, toString(`{topic.key}`) AS symbol, {_ns(topic)} AS ns, {columns}, {_POSITION}
            {", venue" if given["by_venue"] else ""}
        FROM {source}"""  # noqa: S608
    if given["by_venue"]:
        rows = _settled(rows, len(sides))
    both = " AND ".join(
        ["isNotNull(v0)", "isNotNull(v1)", *(f"v{at} > 0" for at in range(2, len(sides)))]
    )
    bad = f"ifNull(({both}) AND v0 > v1, 0)"
    return f"""
        SELECT day, symbol, toInt64(countIf(ifNull({both}, 0))) AS rows, toInt64(countIf({bad})) AS unexpected,
            if(rows = 0, NULL, unexpected / rows) AS observed,
            {", ".join(_first_columns(f"minIf((ns, {_POSITION}), {bad})"))}
        FROM ({rows}) GROUP BY day, symbol ORDER BY day, symbol"""  # noqa: S608


def _settled(rows: str, count: int) -> str:
    """What each venue's rows say together, at the end of each of their times."""
    so_far = _window("symbol, venue", "UNBOUNDED PRECEDING AND CURRENT ROW")
    carried = ", ".join(f"anyLast(toNullable(v{at})) {so_far} AS c{at}" for at in range(count))
    names = ", ".join(f"c{at} AS v{at}" for at in range(count))
    following = _window("symbol, venue", "CURRENT ROW AND 1 FOLLOWING")
    return f"""
        SELECT day, symbol, ns, {names}, {_POSITION}
        FROM (
            SELECT day, symbol, ns, {_POSITION}, {carried}, count() {following} AS left,
                last_value(ns) {following} AS ns_next
            FROM ({rows}))
        WHERE left = 1 OR ns_next > ns"""  # noqa: S608


def _window(by: str, frame: str) -> str:
    return (
        f"OVER (PARTITION BY day, {by} ORDER BY ns, _partition, _offset, _row ROWS BETWEEN {frame})"
    )


def _open(topic: Topic, source: str, hours: Int64s, where: str = "1", more: str = "") -> str:
    """Rows of the open times, each with its interval."""
    intervals = ", ".join(f"({day}, {start}, {end})" for day, start, end in hours.tolist())
    return f"""
        SELECT r.day AS day, h.open AS open, h.close AS close, r.symbol AS symbol, r.ns AS ns {more and ", r.*"}
        FROM (
            SELECT {_day(topic)} AS day, toString(`{topic.key}`) AS symbol, {_ns(topic)} AS ns {more}
            FROM {source} WHERE {where}) AS r
        INNER JOIN (
            SELECT toInt64(one.1) AS day, toInt64(one.2) AS open, toInt64(one.3) AS close
            FROM (SELECT arrayJoin([{intervals}]) AS one)) AS h
        ON r.day = h.day
        WHERE r.ns >= h.open AND r.ns < h.close"""  # noqa: S608


def _changes(topic: Topic, source: str, check: Check, hours: Int64s) -> str:
    """Times at which something that a venue says became another; a null says nothing."""
    names = check.parameters["values"]
    columns = ", ".join(f"`{name}` AS v{at}" for at, name in enumerate(names))
    rows = _open(topic, source, hours, more=f", venue, {columns}, {_POSITION}")
    before = _window("open, symbol, venue", "UNBOUNDED PRECEDING AND 1 PRECEDING")
    carried = ", ".join(
        f"v{at}, anyLast(toNullable(v{at})) {before} AS b{at}" for at in range(len(names))
    )
    changed = " OR ".join(f"ifNull(v{at} != b{at}, isNotNull(v{at}))" for at in range(len(names)))
    return f"""
        SELECT day, open, close, symbol, ns, {changed} AS counts
        FROM (SELECT day, open, close, symbol, ns, {carried} FROM ({rows}))"""  # noqa: S608


def _longest(times: str, seconds: float) -> str:
    """The longest time between times that count, the interval's ends included."""
    limit_ns = int(seconds * 1e9)
    return f"""
        SELECT day, symbol, toInt64(sum(n)) AS rows, toInt64(sum(over)) AS unexpected,
            max(longest) / 1e9 AS observed, minIf(since, over > 0) AS first_ts,
            NULL AS first_partition, NULL AS first_offset, NULL AS first_row
        FROM (
            SELECT day, open, symbol, count() AS n,
                arrayConcat([open], arraySort(groupArrayIf(ns, counts)), [close]) AS edges,
                arrayPopFront(arrayDifference(edges)) AS gaps, arrayMax(gaps) AS longest,
                arrayCount(gap -> gap > {limit_ns}, gaps) AS over,
                edges[arrayFirstIndex(gap -> gap > {limit_ns}, gaps)] AS since
            FROM ({times}) GROUP BY day, open, close, symbol)
        GROUP BY day, symbol ORDER BY day, symbol"""  # noqa: S608


def _jumps(topic: Topic, source: str, check: Check, hours: Int64s) -> str:
    """Log returns between trades against the standard deviation of those between minutes."""
    given = check.parameters
    price = f"`{given['price']}`"
    rows = _open(
        topic,
        source,
        hours,
        f"({given['where']}) AND {price} > 0",
        f", {price} AS price, {_POSITION}",
    )
    order = "(ns, _partition, _offset, _row)"
    before = _window("open, symbol", "1 PRECEDING AND 1 PRECEDING")
    bad = f"sigmas > {given['sigmas']!r}"
    return f"""
        WITH
        minutes AS (
            SELECT day, symbol, if(length(returns) < {given["minutes_min"]}, NULL,
                nullIf(arrayReduce('stddevSamp', returns), 0)) AS sigma
            FROM (
                SELECT day, symbol, arrayPopFront(arrayDifference(arrayMap(one -> one.2,
                    arraySort(groupArray((minute, last)))))) AS returns
                FROM (
                    SELECT day, symbol, intDiv(ns, 60000000000) AS minute, argMax(log(price), {order}) AS last
                    FROM ({rows}) GROUP BY day, symbol, minute)
                GROUP BY day, symbol)),
        steps AS (
            SELECT day, symbol, ns, _partition, _offset, _row,
                abs(log(price / any(toNullable(price)) {before})) AS step
            FROM ({rows})),
        judged AS (
            SELECT day, symbol, ns, _partition, _offset, _row, step / sigma AS sigmas
            FROM steps INNER JOIN minutes USING (day, symbol))
        SELECT day, symbol, toInt64(count()) AS rows, toInt64(countIf({bad})) AS unexpected,
            max(sigmas) AS observed, {", ".join(_first_columns(f"minIf({order}, {bad})"))}
        FROM judged GROUP BY day, symbol ORDER BY day, symbol"""  # noqa: S608


def _first_columns(first: str, suffix: str = "") -> list[str]:
    """Columns of a row's time and position, all 0 where there is no such row."""
    return [
        f"toInt64(tupleElement({first}, {at})) AS first_{name}{suffix}"
        for at, name in enumerate(_FIRST_TYPES, start=1)
    ]


def _day(topic: Topic) -> str:
    return f"toInt64(toDate(`{topic.event_time}`, 'UTC'))"


def _ns(topic: Topic) -> str:
    return f"toUnixTimestamp64Nano(`{topic.event_time}`)"


def _listed(values: Sequence[str]) -> str:
    return ", ".join(
        "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values
    )
