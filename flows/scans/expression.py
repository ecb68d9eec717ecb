"""Expressions as trees: a parser by recursive descent for a small language of our own. Nothing is evaluated.

::

    expression = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum | "crosses" ( "above" | "below" ) sum ]
    sum        = product { ( "+" | "-" ) product }
    product    = factor { ( "*" | "/" ) factor }
    factor     = "-" factor | NUMBER | TEXT | NAME | FUNCTION "(" expression { "," expression } ")"
               | "(" expression ")"

A number may end in ``%`` (hundredths), ``K``, ``M`` or ``B`` (thousands, millions, billions).
"""

from collections.abc import Callable
from dataclasses import dataclass

from flows.scans.tokens import ScanError, Token, tokens

FUNCTIONS = {"abs": (1, 1), "min": (2, 8), "max": (2, 8)}
"""Function to the least and the largest number of its arguments."""

_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_SCALES = {"K": 1e3, "M": 1e6, "B": 1e9}
# Deeper than anything that a person writes, and far from the interpreter's own limit.
_DEEPEST = 50


@dataclass(frozen=True)
class Node:
    """A part of an expression; ``position`` is where it begins (of an operator: where that stands)."""

    position: int


@dataclass(frozen=True)
class Number(Node):
    """A number."""

    value: float


@dataclass(frozen=True)
class Text(Node):
    """A text in quotes."""

    value: str


@dataclass(frozen=True)
class Name(Node):
    """A criterion."""

    name: str


@dataclass(frozen=True)
class Operation(Node):
    """An operator or function with what it is applied to.

    Parameters
    ----------
    operator : str
        As written; ``negative`` for a sign, ``crosses above`` and ``crosses below`` in full.
    operands : tuple of Node
        In order.
    """

    operator: str
    operands: tuple[Node, ...]


def parse(expression: str) -> Node:
    """The tree of an expression.

    Raises
    ------
    ScanError
        Saying where, what was found and what was needed.

    Examples
    --------
    >>> tree = parse("close crosses above sma_50 and not volume < 1M")
    >>> tree.operator, [operand.operator for operand in tree.operands]
    ('and', ['crosses above', 'not'])
    """
    parser = _Parser(expression)
    tree = parser.expression()
    parser.finish()
    return tree


def names(tree: Node) -> list[Name]:
    """The criteria of a tree, each once, in order."""
    found: dict[str, Name] = {}
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name):
            found.setdefault(node.name, node)
        elif isinstance(node, Operation):
            waiting += reversed(node.operands)
    return list(found.values())


class _Parser:
    """Goes over the tokens once, from left to right."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._tokens = tokens(expression)
        self._at = 0
        self._depth = 0

    def expression(self) -> Node:
        return self._joined("word", ("or",), self._conjunction)

    def finish(self) -> None:
        if self._now.kind != "end":
            raise self._error(self._now, f"an operator or the end was needed, not {self._now}")

    def _conjunction(self) -> Node:
        return self._joined("word", ("and",), self._negation)

    def _negation(self) -> Node:
        if self._is("word", "not"):
            token = self._take()
            return Operation(token.position, "not", (self._deeper(self._negation, token),))
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        token = self._now
        if token.kind == "symbol" and token.value in _COMPARISONS:
            self._take()
            return Operation(token.position, token.value, (left, self._sum()))
        if self._is("word", "crosses"):
            self._take()
            if not (self._is("word", "above") or self._is("word", "below")):
                raise self._error(
                    self._now, f"above or below was needed after crosses, not {self._now}"
                )
            operator = f"crosses {self._take().value}"
            return Operation(token.position, operator, (left, self._sum()))
        return left

    def _sum(self) -> Node:
        return self._joined("symbol", ("+", "-"), self._product)

    def _product(self) -> Node:
        return self._joined("symbol", ("*", "/"), self._factor)

    def _factor(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return Number(token.position, _number(token.value))
        if token.kind == "text":
            return Text(token.position, token.value)
        if token.kind == "name":
            if self._is("symbol", "("):
                return self._call(token)
            return Name(token.position, token.value)
        if token.kind == "symbol" and token.value == "-":
            return Operation(token.position, "negative", (self._deeper(self._factor, token),))
        if token.kind == "symbol" and token.value == "(":
            inner = self._deeper(self.expression, token)
            self._close(token)
            return inner
        raise self._error(token, f"a criterion, a number or ( was needed, not {token}")

    def _call(self, name: Token) -> Node:
        if name.value not in FUNCTIONS:
            raise self._error(name, f"no function {name.value!r}; there are {', '.join(FUNCTIONS)}")
        opening = self._take()
        operands = [self._deeper(self.expression, opening)]
        while self._is("symbol", ","):
            self._take()
            operands.append(self._deeper(self.expression, opening))
        self._close(opening)
        least, most = FUNCTIONS[name.value]
        if not least <= len(operands) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self._error(name, f"{name.value} takes {wanted} values, not {len(operands)}")
        return Operation(name.position, name.value, tuple(operands))

    def _joined(self, kind: str, operators: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        left = operand()
        while self._now.kind == kind and self._now.value in operators:
            token = self._take()
            left = Operation(token.position, token.value, (left, operand()))
        return left

    def _deeper(self, part: Callable[[], Node], token: Token) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(token, f"more than {_DEEPEST} parts stand in one another")
        node = part()
        self._depth -= 1
        return node

    def _close(self, opening: Token) -> None:
        if not self._is("symbol", ")"):
            raise self._error(self._now, f") was needed for the ( at {opening.position + 1}")
        self._take()

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _is(self, kind: str, value: str) -> bool:
        return self._now.kind == kind and self._now.value == value

    def _take(self) -> Token:
        token = self._now
        if token.kind != "end":
            self._at += 1
        return token

    def _error(self, token: Token, what: str) -> ScanError:
        return ScanError(self._text, token.position, what)


def _number(text: str) -> float:
    scale = _SCALES.get(text[-1])
    # Over 100 and not times 0.01: 2% is then the float nearest to 0.02.
    if text[-1] == "%":
        return float(text[:-1]) / 100.0
    return float(text) if scale is None else float(text[:-1]) * scale
