"""The body of ``tapeflow audit``: what became of every row, recounted from the log and the sinks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import orjson
from rich.console import Console
from rich.table import Table

from connectors.checks import Check
from connectors.landing_audit import landing_checks
from connectors.landing_values import value_checks
from connectors.log import Log
from connectors.log_cuts import LogCuts
from connectors.row_counts import RowCounts
from flows.catalog import catalog
from flows.engines.ownership import ownership
from flows.engines.recount import recount
from serving.audit_accounts import account_checks


def audit(log: Log, store_url: str, lake: Path, *, values: bool = False) -> list[Check]:
    """The checks of every flow that has run, of who wrote what flows derive, of all that has landed, and of accounts.

    Parameters
    ----------
    log : Log
        The truth.
    store_url : str
        ClickHouse, embedded or a server.
    lake : Path
        Folder of the lake.
    values : bool
        Whether what has landed is also compared by value (`connectors.landing_values`).
    """
    counts = RowCounts(log)
    cuts = LogCuts(log)
    checks: list[Check] = []
    for kind in catalog().values():
        of_flow = cuts.outlasted(
            f"audit of flow {kind.name!r}", partial(recount, log, kind, counts), _hold
        )
        checks += of_flow
    written = cuts.outlasted("audit of derived topics", partial(ownership, log), _hold)
    landed = cuts.outlasted(
        "audit of what has landed", partial(landing_checks, log, store_url, lake, counts), _hold
    )
    compare = partial(value_checks, log, store_url, lake)
    compared = cuts.outlasted("audit of landed values", compare, _hold) if values else []
    return checks + written + landed + compared + account_checks(log, store_url)


def _hold(checks: Sequence[Check]) -> bool:
    return all(check.ok for check in checks)


def audit_value(checks: list[Check]) -> dict[str, Any]:
    """Checks as JSON has them."""
    return {
        "ok": all(check.ok for check in checks),
        "checks": [
            {
                "subject": check.subject,
                "claim": check.claim,
                "ok": check.ok,
                "terms": check.terms,
                "detail": check.detail,
            }
            for check in checks
        ],
    }


def run_audit(
    log: Log, store_url: str, lake: Path, *, values: bool, as_json: bool, out: TextIO
) -> int:
    """Audit and print; 0 where every count holds, 1 where one does not. Parameters as those of `audit`."""
    checks = audit(log, store_url, lake, values=values)
    if as_json:
        value = audit_value(checks)
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_audit(checks, Console(file=out))
    return 0 if all(check.ok for check in checks) else 1


def print_audit(checks: list[Check], console: Console) -> None:
    """A table of the checks, and where each one that fails first differs."""
    table = Table("what", "claim", "counts", "holds", title="Audit")
    for check in checks:
        terms = ", ".join(f"{name} {count:,}" for name, count in check.terms.items())
        table.add_row(
            check.subject,
            check.claim,
            terms,
            "yes" if check.ok else "NO",
            style="" if check.ok else "bold red",
        )
    console.print(table)
    if not checks:
        console.print("Nothing has run and nothing has landed: there is nothing to audit.")
    for check in checks:
        if check.detail:
            console.print(f"First difference: {check.detail}")
    failed = sum(not check.ok for check in checks)
    if failed:
        console.print(f"{failed} of {len(checks)} claims do not hold.")
    elif checks:
        console.print(f"All {len(checks)} claims hold.")
