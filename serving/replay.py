"""The body of ``tapeflow replay``: flows computed again, compared with the log or with runs, or kept as a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import orjson
from rich.console import Console

from connectors.log import Log
from connectors.log_cuts import LogCuts
from flows.engines.compare import Comparison
from flows.flow import FlowError, Params
from serving.replay_compare import ALL, LIVE, Range, compare_again, compare_run
from serving.replay_pool import Pool
from serving.replay_receipt import comparison_value, print_comparisons
from serving.replay_tasks import LogAt, Logs
from serving.run_making import Places, make_run
from serving.run_manifest import Arguments, Manifest, complete_run
from serving.runs import print_runs, run_value


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a replay.

    Parameters
    ----------
    flows : sequence of str
        Names; all that have run where empty.
    within : Range
        What is compared.
    params : dict of flow name to Params, or None
        Other parameters than those of each epoch.
    into : str or None
        Run to keep the outputs in.
    compare : str or None
        ``live``, or the name of a run.
    usual : dict of flow name to Params
        The settings' parameters, for flows of a run that have never run.
    """

    flows: Sequence[str] = ()
    within: Range = ALL
    params: dict[str, Params] | None = None
    into: str | None = None
    compare: str | None = LIVE
    usual: dict[str, Params] | None = None


def comparisons(log: Log, names: Sequence[str]) -> list[Comparison]:
    """Every shard of flows (all if none is named) that has run, against the same computed again.

    Raises
    ------
    FlowError
        For a name that is no flow's.
    """
    request = Request(flows=names)
    return _outlasting(log, request, Places(log=log.url, source=log.url), None)[1] or []


def run_replay(
    log: Log,
    names: Sequence[str],
    *,
    as_json: bool,
    out: TextIO,
    request: Request | None = None,
    places: Places | None = None,
    workers: int | None = None,
) -> int:
    """Compute, compare and print.

    Parameters
    ----------
    log : Log
        The live log, open.
    names : sequence of str
        Flows; all that have run where empty.
    as_json : bool
        A list of comparisons, or with a run an object of it and them.
    out : TextIO
        Where to print.
    request : Request or None
        What else is asked; None to compare with the live log.
    places : Places or None
        Where lake and store are; None for the log alone.
    workers : int or None
        Processes; None for what is worth it.

    Returns
    -------
    int
        0 where all is identical, 1 where a row differs, 2 where no flow has run.
    """
    request = request or Request(flows=names)
    places = places or Places(log=log.url, source=log.url)
    run, found = _outlasting(log, request, places, workers)
    if as_json:
        values: Any = None if found is None else [comparison_value(one) for one in found]
        if run is not None:
            values = {"run": run_value(run), "compared": values}
        out.write(orjson.dumps(values, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
    else:
        # Of a row that differs, values are shown: [/x] in one is no style.
        console = Console(file=out, markup=False, emoji=False)
        if run is not None:
            print_runs([run], console)
        if found is not None:
            print_comparisons(found, *_titles(request), console)
    if found is None:
        return 0
    if not found:
        return 2
    return 0 if all(one.identical for one in found) else 1


def _outlasting(
    log: Log, request: Request, places: Places, workers: int | None
) -> tuple[Manifest | None, list[Comparison] | None]:
    """What is replayed; again where rows differ, and retention has cut the log meanwhile."""

    def replay() -> tuple[Manifest | None, list[Comparison] | None]:
        with Logs(log) as logs, Pool(logs, workers) as pool:
            return _replayed(request, places, pool)

    return LogCuts(log).outlasted(
        "replay", replay, lambda found: all(one.identical for one in found[1] or ())
    )


def _replayed(
    request: Request, places: Places, pool: Pool
) -> tuple[Manifest | None, list[Comparison] | None]:
    log = pool.logs.at(LogAt(url=places.log))
    other = None
    if request.into is not None and request.compare == request.into:
        raise FlowError(
            f"replay: run {request.into!r} is to be compared with itself; with what else?"
        )
    if request.compare not in {None, LIVE}:
        other = complete_run(log, str(request.compare))
    if request.into is None:
        if request.compare is None:
            raise FlowError(
                "replay: say what becomes of what it computes: --compare live, --compare RUN, --into RUN, or both"
            )
        return None, compare_again(
            places,
            request.flows,
            pool,
            within=request.within,
            params=request.params,
            run=other,
        )
    arguments = Arguments(
        flows=list(request.flows) or None,
        params=None
        if request.params is None
        else {name: one.model_dump(mode="json") for name, one in sorted(request.params.items())},
        begin=request.within.begin,
        end=request.within.end,
        source=None if places.source == places.log else places.source,
    )
    run = make_run(places, request.into, arguments, request.usual or {}, pool)
    found = None if request.compare is None else compare_run(places, run, other, pool)
    return run, found


def _titles(request: Request) -> tuple[str, tuple[str, str]]:
    """The table's title, and the names of both sides."""
    left = "the log" if request.compare == LIVE else f"run {request.compare}"
    if request.into is None:
        return f"Replay against {left}", (left, "the replay")
    return f"Run {request.into} against {left}", (left, f"run {request.into}")
