"""An expression's text as tokens, and the error that points into it."""

import re
from dataclasses import dataclass

# Longer than anything that a person reads; a bound for the parser.
_LONGEST = 1_000

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[KMB%]?)
  | (?P<name>[A-Za-z_](?:\w|\.(?=\d))*)
  | (?P<text>"[^"]*"|'[^']*')
  | (?P<symbol><=|>=|==|!=|[-+*/<>(),])
)""",
    re.VERBOSE,
)
_WORDS = ("and", "or", "not", "crosses", "above", "below")


class ScanError(ValueError):
    """An expression that cannot be used; the message shows where and says how to mend it."""

    def __init__(self, expression: str, position: int, what: str) -> None:
        line = " ".join(expression.split("\n"))
        super().__init__(f"{what}, at character {position + 1}:\n  {line}\n  {' ' * position}^")


@dataclass(frozen=True)
class Token:
    """A piece of an expression.

    Parameters
    ----------
    kind : str
        ``number``, ``name``, ``text``, ``symbol``, ``word`` or ``end``.
    value : str
        As it is written; a word in lower case, a text without its quotes.
    position : int
        Where it begins, from 0.
    """

    kind: str
    value: str
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.value)


def tokens(expression: str) -> list[Token]:
    """The tokens of an expression, with one for its end.

    Raises
    ------
    ScanError
        For a character that begins no token, or an expression that is too long.

    Examples
    --------
    >>> [token.value for token in tokens('rsi_14 < 30 and sector == "Energy"')]
    ['rsi_14', '<', '30', 'and', 'sector', '==', 'Energy', '']
    """
    if len(expression) > _LONGEST:
        raise ScanError(expression[:60], 0, f"an expression has at most {_LONGEST} characters")
    found: list[Token] = []
    at = 0
    end = len(expression.rstrip())
    while at < end:
        match = _TOKEN.match(expression, at)
        if match is None:
            at += len(expression[at:]) - len(expression[at:].lstrip())
            raise ScanError(expression, at, f"{expression[at]!r} begins nothing known")
        kind = match.lastgroup or ""
        value = match[kind]
        if kind == "name" and value.lower() in _WORDS:
            kind, value = "word", value.lower()
        if kind == "text":
            value = value[1:-1]
        found.append(Token(kind, value, match.start(match.lastgroup or 0)))
        at = match.end()
    return [*found, Token("end", "", end)]
