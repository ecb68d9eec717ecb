"""Corporate actions as people write them, as rows of ``corporate_actions``."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from schemas.accounts import CORPORATE_ACTIONS
from schemas.field import DECIMAL, RECEIVE_TIME
from serving.account_changes import AccountError, amount_of

_NAMES = tuple(field.name for field in CORPORATE_ACTIONS.fields if field.name != RECEIVE_TIME)
_SYMBOLS = ("symbol", "new_symbol")


def read_actions(path: Path) -> list[dict[str, Any]]:
    """The actions of a CSV file.

    Parameters
    ----------
    path : Path
        With a first line of names: ``symbol``, ``ts_event``, ``action``, and what the actions need; an empty
        field is none.

    Raises
    ------
    AccountError
        Naming file and line, where one is not understood.
    """
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        unknown = sorted(set(reader.fieldnames or ()) - set(_NAMES))
        if unknown:
            raise AccountError(
                f"{path}: no action has {', '.join(unknown)}; there are {', '.join(_NAMES)}"
            )
        for texts in reader:
            try:
                rows.append(action_row(texts))
            except AccountError as error:
                raise AccountError(f"{path}, line {reader.line_num}: {error}") from error
    return rows


def action_row(texts: Mapping[str, str | None]) -> dict[str, Any]:
    """One action from texts by field; without an identifier it gets one that is made of its terms.

    Raises
    ------
    AccountError
        For what is no time or number, a symbol or action that is missing, or a new symbol that is none.
    """
    given = {name: text.strip() for name, text in texts.items() if text and text.strip()}
    for name in ("symbol", "ts_event", "action"):
        if name not in given:
            raise AccountError(f"an action needs {name}")
    row: dict[str, Any] = {RECEIVE_TIME: time.time_ns(), "ts_event": _time_ns(given["ts_event"])}
    for name in _NAMES:
        if name not in given or name == "ts_event":
            continue
        text = given[name].upper() if name in _SYMBOLS else given[name]
        row[name] = amount_of(text) if CORPORATE_ACTIONS.field(name).type == DECIMAL else text
    if row.get("new_symbol") == row["symbol"]:
        raise AccountError(f"{row['symbol']} is the symbol that it has: new_symbol must be another")
    terms = [f"{row[name]}" for name in _NAMES if name in row]
    row.setdefault("action_id", ":".join(terms))
    return row


def _time_ns(text: str) -> int:
    try:
        moment = pd.Timestamp(text)
    except ValueError as error:
        raise AccountError(f"{text}: it must be a time such as 2025-01-02T14:30:00") from error
    utc = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return int(utc.as_unit("ns").value)
