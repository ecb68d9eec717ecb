"""The platform from Python, for notebooks and scripts: SQL, the lake, the log and replays as Polars frames."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError
from pydantic import ValidationError

from connectors.clickhouse import StoreLink
from connectors.clickhouse_statement import only_reads
from connectors.landed import Decoded, landed_table
from connectors.log import Log, LogError, open_log
from connectors.parquet import LakeError, period_name, topic_files
from connectors.records import decode_rows, is_rows
from connectors.run_log import RunLog
from connectors.scan import scan_records
from flows.catalog import catalog
from flows.engines.compared_rows import Found, within
from flows.engines.recompute import recompute_with
from flows.engines.stretches import Stretch
from flows.flow import Emit, Flow, FlowError, Params
from schemas.landed import landed_schema
from schemas.registry import topic as topic_named
from schemas.topic import Topic
from serving.queries import named_query
from serving.replay_bounds import bounds_of
from serving.replay_tasks import LogAt, Logs
from serving.run_landing import lake_of
from serving.run_manifest import known_run, manifests
from serving.runs import run_value
from serving.settings import Settings
from serving.settings_sources import flow_params, load_settings
from serving.sql import SqlError, check_whole_numbers, reason_of
from serving.tail import tail as tail_rows

_RUN_TYPES: dict[str, Any] = {
    "run": pl.String,
    "flows": pl.List(pl.String),
    "params_hash": pl.String,
    "from": pl.String,
    "to": pl.String,
    "complete": pl.Boolean,
    "begun": pl.String,
    "done": pl.String,
    "size_bytes": pl.Int64,
}
# What a folder's name says, by the name of its period.
_PERIOD_TYPES = {"date": pl.Date, "month": pl.String, "year": pl.Int32}


def open(home: str | Path | None = None) -> "Desk":  # noqa: A001 - read as tapeflow.open()
    """Open a platform's data for reading, whether or not its programs run.

    Parameters
    ----------
    home : str, Path or None
        Its folder; None for the settings' (``TAPEFLOW_HOME``, ``tapeflow.toml``, or ``.tapeflow``).

    Returns
    -------
    Desk
        To be closed, or used in a ``with``.

    Raises
    ------
    serving.settings.SettingsError
        For a setting that is unknown or unusable.
    """
    settings = load_settings()
    return Desk(settings if home is None else settings.moved(Path(home).expanduser().absolute()))


class Desk:
    """An open platform. What it gives are Polars frames; it writes nothing to the log, the lake or the store.

    Parameters
    ----------
    settings : Settings
        Where log, store and lake are.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._link: StoreLink | None = None
        self._log: Log | None = None

    def sql(self, statement: str, **parameters: Any) -> pl.DataFrame:
        """Ask ClickHouse.

        Parameters
        ----------
        statement : str
            One statement that reads, without FORMAT; ``{name:Type}`` stands for a parameter.
        **parameters
            Their values.

        Returns
        -------
        polars.DataFrame
            The result; low-cardinality strings as categoricals.

        Raises
        ------
        serving.sql.SqlError
            With ClickHouse's message, for a statement that does not read, or for a whole number beyond its type.
        connectors.chdb_engine.StoreError
            Where the store cannot be reached.
        """
        if not only_reads(statement.encode()):
            raise SqlError(
                f"{statement.strip()[:80]!r}: a statement that reads is needed here, such as a SELECT; `tapeflow sql` "
                "runs others"
            )
        check_whole_numbers(statement, parameters)
        if self._link is None:
            self._link = StoreLink(self.settings.store, patience_s=5.0)
        try:
            found = self._link.run(
                lambda client: client.query_arrow(
                    statement.strip().rstrip(";"), parameters=parameters or None
                )
            )
        except DatabaseError as error:
            raise SqlError(reason_of(error)) from error
        return _frame(found)

    def query(self, name: str, **parameters: Any) -> pl.DataFrame:
        """Run a named query of sql/queries; `serving.queries.queries` lists them.

        Raises
        ------
        serving.queries.QueryError
            For an unknown name or parameter, or one that is missing.
        serving.sql.SqlError
            With ClickHouse's message.
        """
        query = named_query(name)
        return self.sql(query.text, **query.values(parameters))

    def scan(self, topic: str, *, run: str | None = None) -> pl.LazyFrame:
        """A topic's rows in the lake, lazily: only what a query needs is read.

        Parameters
        ----------
        topic : str
            Which.
        run : str or None
            A run of `tapeflow replay --into`, whose rows are meant; None for the live ones.

        Returns
        -------
        polars.LazyFrame
            The topic's columns, the row's place in the log (``_partition``, ``_offset``, ``_row``,
            ``_appended``), and the folder's ``date`` (of ticks), ``month`` (such as ``"2024-03"``) or
            ``year`` (a number), UTC, by which a filter leaves files unread.

        Raises
        ------
        connectors.parquet.LakeError
            Where nothing of the topic has landed yet.
        """
        declared = _declared(topic)
        lake, name = self.settings.lake_path, period_name(declared)
        lake = lake if run is None else lake_of(lake, run)
        if not topic_files(lake, declared):
            raise LakeError(
                f"lake {lake / declared.name}: nothing of {declared.name!r} is there yet; `tapeflow up` or "
                "`tapeflow land --until-end` lands what is in the log"
            )
        return pl.scan_parquet(
            lake / declared.name / f"{name}=*" / "*.parquet",
            hive_partitioning=True,
            hive_schema={name: _PERIOD_TYPES[name]},
        )

    def rows(self, topic: str, *, run: str | None = None) -> pl.DataFrame:
        """All of a topic's rows as the log has them now, landed or not, in log order.

        Parameters
        ----------
        topic : str
            Which.
        run : str or None
            A run, whose rows are meant; None for the live ones.

        Returns
        -------
        polars.DataFrame
            The topic's columns, then ``_partition``, ``_offset``, ``_row`` and ``_appended``.
        """
        declared = _declared(topic)
        log = self._open_log()
        if run is not None:
            log = RunLog(known_run(log, run).run, log)
        if declared.name not in log.topics():
            raise LogError(f"log {log.url}: it has no topic {declared.name!r} yet")
        decoded = [
            Decoded(record, decode_rows(declared, record))
            for partition in range(log.topics()[declared.name].partitions)
            for record in scan_records(log, declared.name, partition)
            if is_rows(record)
        ]
        return _frame(
            landed_table(declared, decoded) if decoded else landed_schema(declared).empty_table()
        )

    def tail(
        self,
        topic: str,
        *,
        beginning: bool = False,
        limit: int | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Rows of a topic, inbox or control topic as they are appended.

        Parameters
        ----------
        topic : str
            Which.
        beginning : bool
            Begin at the first row kept and end at the present end; else wait for new ones, for ever.
        limit : int or None
            End after so many rows.
        stop : threading.Event or None
            Ends it from another thread.

        Yields
        ------
        dict
            A row, with ``_partition``, ``_offset`` and ``_row`` in front.

        Raises
        ------
        ValueError
            For a limit below 0.
        """
        return tail_rows(
            self._open_log(), topic, stop or threading.Event(), beginning=beginning, limit=limit
        )

    def replay(
        self,
        flow: str,
        *,
        begin: str | None = None,
        end: str | None = None,
        from_lake: bool = False,
        **params: Any,
    ) -> dict[str, pl.DataFrame]:
        """What a flow gives for everything in the log, with other parameters if asked; nothing is written.

        Parameters
        ----------
        flow : str
            Name of the flow.
        begin, end : str or None
            Rows of event times from (inclusive) and to (exclusive) only, such as ``"2024-01-02T14:30"`` (UTC);
            what lies before is computed all the same.
        from_lake : bool
            Whether the lake is read instead of the log.
        **params
            Parameters, such as ``intervals=["30s"]``; the others are the settings'.

        Returns
        -------
        dict of str to polars.DataFrame
            Output topic to its rows, shard by shard.

        Raises
        ------
        flows.flow.FlowError
            For an unknown flow, parameters that it does not take, or what is no time.
        """
        kind, chosen = self._chosen(flow, params)
        with Logs(self._open_log()) as logs:
            url = f"lake:///{self.settings.lake_path}" if from_lake else self.settings.log
            log = logs.at(LogAt(url=url))
            bounds = bounds_of(log, begin, end)
            if bounds.from_offsets or bounds.to_offsets:
                raise FlowError(f"replay: begin={begin!r}, end={end!r}: times are needed here")
            batches: dict[str, list[pa.RecordBatch]] = {one.name: [] for one in kind.outputs}
            for shard in range(_shards(log, kind)):
                window = Stretch(flow=flow, shard=shard, from_ns=bounds.from_ns, to_ns=bounds.to_ns)
                for _, outputs in recompute_with(log, kind, shard, chosen):
                    for one in outputs:
                        if isinstance(one, Emit) and one.topic.name in batches:
                            found = within(window, Found(topic=one.topic, batch=one.batch))
                            batches[one.topic.name] += [part.batch for part in found]
        return {
            one.name: _frame(pa.Table.from_batches(batches[one.name], schema=one.schema))
            for one in kind.outputs
        }

    def runs(self) -> pl.DataFrame:
        """The runs that `tapeflow replay --into` has kept: one row each, as `tapeflow runs --json` has them."""
        values = [run_value(run) for run in manifests(self._open_log())]
        return pl.DataFrame(
            [{name: value[name] for name in _RUN_TYPES} for value in values],
            schema=_RUN_TYPES,
        )

    def _chosen(self, flow: str, params: dict[str, Any]) -> tuple[type[Flow], Params]:
        known = catalog()
        if flow not in known:
            raise FlowError(f"no flow {flow!r}; there are {', '.join(known)}")
        kind = known[flow]
        usual = flow_params(self.settings, [flow])[flow]
        try:
            return kind, kind.params_type(**{**usual.model_dump(), **params})
        except ValidationError as error:
            raise FlowError(f"flow {flow!r}: {error}") from error

    def close(self) -> None:
        """Let go of store and log."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _open_log(self) -> Log:
        if self._log is None:
            self._log = open_log(self.settings.log)
        return self._log


def _declared(name: str) -> Topic:
    try:
        return topic_named(name)
    except KeyError as error:
        raise LogError(error.args[0]) from None


def _frame(table: pa.Table) -> pl.DataFrame:
    found = pl.from_arrow(table)
    if not isinstance(found, pl.DataFrame):
        raise TypeError(f"a table was expected of Polars, {type(found).__name__} came")
    return found


def _shards(log: Log, kind: type[Flow]) -> int:
    """How many shards a flow has, whether it has ever run or not: its inputs' partitions."""
    topics = log.topics()
    missing = [one.name for one in kind.inputs if one.name not in topics]
    if missing:
        raise LogError(f"log {log.url}: it has no topic {', '.join(missing)} yet")
    return next(topics[one.name].partitions for one in kind.inputs if not one.broadcast)
