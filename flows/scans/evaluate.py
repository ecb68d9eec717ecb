"""Expressions over columns: every row at once, in three-valued logic, so that what is undefined never matches.

A comparison with an undefined number is neither true nor false. ``not`` of such is neither, ``and`` is false
if a part is false, ``or`` is true if a part is: Kleene's logic, and SQL's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.kernels.scans import crossings
from flows.scans.criteria import Origin
from flows.scans.expression import Name, Node, Number, Operation, Text, names, parse
from flows.scans.resolution import Resolved, UnknownCriterionError, resolve
from flows.scans.tokens import ScanError
from schemas.arrays import Bools, Floats, Int64s

_NUMBERS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "abs": np.abs,
    "negative": np.negative,
}
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_LOGIC = ("and", "or", "not")


@dataclass(frozen=True)
class Truth:
    """What is true and what is false of each row; what is undefined is neither."""

    true: Bools
    false: Bools


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A saved expression, checked.

    Parameters
    ----------
    name, text : str
        Its name, and as it is saved.
    tree : Node
        Its tree.
    criteria : tuple of str
        The criteria that it names, in order.
    resolved : dict of str to Resolved
        These, and those that their formulas name.
    formulas : dict of str to Node
        Trees of the formulas among them.
    crossings : tuple of Operation
        The crossings in it, in order.
    """

    name: str
    text: str
    tree: Node
    criteria: tuple[str, ...]
    resolved: dict[str, Resolved]
    formulas: dict[str, Node]
    crossings: tuple[Operation, ...]


def compiled(name: str, text: str) -> Scan:
    """A saved expression, parsed and checked.

    Raises
    ------
    ScanError
        Saying where in the expression what is wrong.
    """
    tree = parse(text)
    resolved: dict[str, Resolved] = {}
    formulas: dict[str, Node] = {}
    for named in names(tree):
        try:
            _resolve(named.name, resolved, formulas)
        except UnknownCriterionError as error:
            raise ScanError(text, named.position, str(error)) from error
    kind = _kind(text, tree, resolved)
    if kind != "condition":
        raise ScanError(text, tree.position, f"a condition was needed, this is a {kind}")
    if not resolved:
        raise ScanError(text, tree.position, "it names no criterion: it is true of all or of none")
    return Scan(
        name=name,
        text=text,
        tree=tree,
        criteria=tuple(named.name for named in names(tree)),
        resolved=resolved,
        formulas=formulas,
        crossings=tuple(_crossings(tree)),
    )


class Columns:
    """Values of criteria for n rows; each criterion is computed once.

    Parameters
    ----------
    count : int
        Number of rows.
    read : callable
        From a resolved criterion that is no formula, and its name, to its values: float64, shape (n,),
        NaN for undefined; or for a text an object array of str and None.
    slots : numpy.ndarray of int64, shape (n,)
        Slot of each row's symbol, for crossings.
    """

    def __init__(self, count: int, read: Callable[[str, Resolved], Any], slots: Int64s) -> None:
        self._count = count
        self._read = read
        self._slots = slots
        self._known: dict[str, Any] = {}

    def of(self, scan: Scan, name: str) -> Any:
        """Values of a criterion that a scan names."""
        if name not in self._known:
            formula = scan.formulas.get(name)
            if formula is None:
                self._known[name] = self._read(name, scan.resolved[name])
            else:
                self._known[name] = self._numbers(scan, formula)
        return self._known[name]

    def truth(self, scan: Scan, node: Node, before: list[Floats]) -> Truth:
        """Whether a condition holds, row by row.

        Parameters
        ----------
        scan : Scan
            Whose expression the condition is in.
        node : Node
            The condition.
        before : list of numpy.ndarray of float64, shape (slots, 2)
            For each of the scan's crossings both values of each symbol's last row; changed.
        """
        assert isinstance(node, Operation)  # noqa: S101 - `compiled` has checked it
        if node.operator in _LOGIC:
            return self._logic(scan, node, before)
        left, right = node.operands
        if node.operator.startswith("crosses"):
            place = next(at for at, one in enumerate(scan.crossings) if one is node)
            crossed = crossings(
                self._numbers(scan, left), self._numbers(scan, right), self._slots, before[place]
            )
            wanted = 1 if node.operator.endswith("above") else -1
            return Truth(crossed == wanted, (crossed != wanted) & (crossed != 2))
        if _is_text(left, scan.resolved) or _is_text(right, scan.resolved):
            one, other = self._texts(scan, left), self._texts(scan, right)
            nothing: Any = None
            defined = np.not_equal(one, nothing) & np.not_equal(other, nothing)
        else:
            one, other = self._numbers(scan, left), self._numbers(scan, right)
            defined = ~(np.isnan(one) | np.isnan(other))
        holds = _COMPARISONS[node.operator](one, other).astype(np.bool_)
        return Truth(holds & defined, ~holds & defined)

    def _logic(self, scan: Scan, node: Operation, before: list[Floats]) -> Truth:
        parts = [self.truth(scan, operand, before) for operand in node.operands]
        if node.operator == "not":
            return Truth(parts[0].false, parts[0].true)
        one, other = parts
        if node.operator == "and":
            return Truth(one.true & other.true, one.false | other.false)
        return Truth(one.true | other.true, one.false & other.false)

    def _numbers(self, scan: Scan, node: Node) -> Floats:
        if isinstance(node, Number):
            return np.full(self._count, node.value)
        if isinstance(node, Name):
            found: Floats = self.of(scan, node.name)
            return found
        assert isinstance(node, Operation)  # noqa: S101 - `compiled` has checked it
        first, *others = (self._numbers(scan, operand) for operand in node.operands)
        with np.errstate(all="ignore"):
            value: Floats = _NUMBERS[node.operator](first, *others[:1])
            for other in others[1:]:
                value = _NUMBERS[node.operator](value, other)
            return np.where(np.isfinite(value), value, np.nan)

    def _texts(self, scan: Scan, node: Node) -> Any:
        if isinstance(node, Text):
            return np.full(self._count, node.value, dtype=object)
        assert isinstance(node, Name)  # noqa: S101 - `compiled` has checked it
        return self.of(scan, node.name)


def _resolve(name: str, resolved: dict[str, Resolved], formulas: dict[str, Node]) -> None:
    if name in resolved:
        return
    found = resolved[name] = resolve(name)
    if found.formula:
        formulas[name] = parse(found.formula)
        for inner in names(formulas[name]):
            _resolve(inner.name, resolved, formulas)


def _is_text(node: Node, resolved: dict[str, Resolved]) -> bool:
    if isinstance(node, Name):
        return resolved[node.name].criterion.is_text
    return isinstance(node, Text)


def _kind(text: str, node: Node, resolved: dict[str, Resolved]) -> str:
    """Whether a part is a number, a text or a condition; checked down to its leaves."""
    if not isinstance(node, Operation):
        return "text" if _is_text(node, resolved) else "number"
    kinds = [_kind(text, operand, resolved) for operand in node.operands]
    needed = "number"
    if node.operator in _LOGIC:
        needed = "condition"
    elif node.operator in ("==", "!=") and "text" in kinds:
        needed = "text"
    for kind, operand in zip(kinds, node.operands, strict=True):
        if kind != needed:
            raise ScanError(
                text, operand.position, f"{node.operator} needs a {needed} here, this is a {kind}"
            )
    return "number" if node.operator in _NUMBERS else "condition"


def _crossings(node: Node) -> list[Operation]:
    if not isinstance(node, Operation):
        return []
    inner = [found for operand in node.operands for found in _crossings(operand)]
    return [node, *inner] if node.operator.startswith("crosses") else inner


def needs(scan: Scan, *origins: Origin) -> bool:
    """Whether a scan asks for something of one of these origins."""
    return any(one.criterion.origin in origins for one in scan.resolved.values())
