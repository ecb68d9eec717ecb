"""Takes JSON records apart that could not be read together: into units, one row's value each.

Only what `schemas.json_reader` did not take comes here, so it may be slow.
"""

from dataclasses import dataclass
from typing import Any

from schemas.json_faults import Fault, JsonFaultError, parse, row_json

BLANKS = b" \t\r\n"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One row's JSON value, looked at alone; ``payload`` is what a fault of it shows."""

    record: int
    row: int
    value: Any
    payload: bytes


class Units:
    """Units and faults, as they are found."""

    def __init__(self) -> None:
        self.found: list[Unit] = []
        self.faults: list[Fault] = []

    def add_text(self, record: int, row: int, text: bytes, *, whole: bool) -> None:
        """A text that should be one row; ``whole`` where it is all of its record."""
        try:
            self.found.append(Unit(record=record, row=row, value=parse(text), payload=text))
        except JsonFaultError as fault:
            place = None if whole else row
            self.faults.append(Fault(record=record, row=place, reason=str(fault), payload=text))

    def add_record(self, record: int, data: bytes) -> None:
        """A record of any form: one value, an array, or lines, some of them perhaps broken."""
        try:
            value = parse(data) if data.strip(BLANKS) else []
        except JsonFaultError as fault:
            self._add_broken(record, data, str(fault))
            return
        if value == []:
            reason = "the record holds no row"
            self.faults.append(Fault(record=record, row=None, reason=reason, payload=data))
        elif isinstance(value, list):
            alone = len(value) == 1
            self.found += [
                Unit(record=record, row=row, value=item, payload=data if alone else row_json(item))
                for row, item in enumerate(value)
            ]
        else:
            self.found.append(Unit(record=record, row=0, value=value, payload=data))

    def _add_broken(self, record: int, data: bytes, reason: str) -> None:
        lines = lines_of(data)
        if not any(_is_object(line) for line in lines):
            self.faults.append(Fault(record=record, row=None, reason=reason, payload=data))
            return
        for row, line in enumerate(lines):
            self.add_text(record, row, line, whole=False)


def lines_of(data: bytes) -> list[bytes]:
    """The lines that hold anything."""
    return [line for line in data.split(b"\n") if line.strip(BLANKS)]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse(line), dict)
    except JsonFaultError:
        return False
