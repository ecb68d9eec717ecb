"""The text of an analyst's statement, taken apart by strict rules, so that no two readers see two statements.

What two parsers may see differently is not let through: comments and a closing semicolon become blanks (places in
the text stay), and a character that no plain SELECT needs is refused. What goes on from here, to the guard's
parser and to the engine, is the same blanked text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.clickhouse_statement import StatementError

# ClickHouse's own max_query_size is 256 KiB; sqlglot takes a second for so much.
STATEMENT_CHARS_MAX = 65_536
_TOKENS_MAX = 8_000
_DEPTH_MAX = 64

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<comment>--[^\n]*|/\*.*?\*/)"
    r"|(?P<text>'(?:[^'\\]|\\.|'')*')"
    r"|(?P<quoted>`[^`\\\x00-\x1f]+`(?!`)|\"[^\"\\\x00-\x1f]+\"(?!\"))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>[0-9][0-9A-Za-z_]*)"
    r"|(?P<parameter>\{[ ]*[A-Za-z_][A-Za-z0-9_]*[ ]*:[A-Za-z0-9_(), ']+\})"
    r"|(?P<mark>->|::|<=>|[()\[\],.;+\-*/%=<>!|?:])",
    re.DOTALL,
)
_REASONS = {
    "'": "a text that does not end",
    "`": "a name that does not end, or has quotes or a backslash in it",
    '"': "a name that does not end, or has quotes or a backslash in it",
    "{": "a brace that is no parameter like {symbol:String}; write map('key', value)",
    "#": "comments begin with --",
    "$": "a text is written between single quotes",
    "/": "a comment that does not end",
}
_IDENTIFIER_TYPE = re.compile(r"identifier", re.IGNORECASE)


class GuardError(StatementError):
    """A statement that is not let through.

    Parameters
    ----------
    reason : str
        Why, and what to do.
    position : int or None
        Where in the statement, in characters from 0; None where it is the whole.
    code : int
        ClickHouse's: 62 for what cannot be read, 497 for what may not be done.
    """

    def __init__(self, reason: str, position: int | None = None, code: int = 497) -> None:
        name = {62: "SYNTAX_ERROR", 497: "ACCESS_DENIED"}[code]
        where = "" if position is None else f" (at position {position + 1})"
        super().__init__(f"Code: {code}. DB::Exception: {reason}{where}. ({name})")
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement that is not blank.

    Parameters
    ----------
    kind : str
        text, quoted, word, number, parameter or mark.
    text : str
        As written.
    start : int
        Where it begins.
    """

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    @property
    def upper(self) -> str:
        """The word in capitals; empty for what is no bare word."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name that a word or a quoted name gives; empty for others."""
        if self.kind == "word":
            return self.text
        return self.text[1:-1] if self.kind == "quoted" else ""


@dataclass(frozen=True, slots=True)
class Text:
    """A statement without comments and semicolon.

    Parameters
    ----------
    text : str
        As long as the original, comments blank.
    tokens : tuple of Token
        All pieces, in order.
    """

    text: str
    tokens: tuple[Token, ...]

    def without(self, tokens: Sequence[Token]) -> "Text":
        """The text with these pieces blanked out as well."""
        text = self.text
        for token in tokens:
            text = text[: token.start] + " " * len(token.text) + text[token.end :]
        gone = set(tokens)
        return Text(text, tuple(token for token in self.tokens if token not in gone))


def read_text(statement: str) -> Text:
    """Take a statement apart.

    Raises
    ------
    GuardError
        For what is not ended, for more than one statement, and for characters that a SELECT does not need.
    """
    if len(statement) > STATEMENT_CHARS_MAX:
        raise GuardError(
            f"a statement has at most {STATEMENT_CHARS_MAX:,} characters; this one has {len(statement):,}",
            code=62,
        )
    pieces = list(_pieces(statement))
    blanks = [(piece.start, piece.end) for piece in pieces if piece.kind == "comment"]
    tokens = [piece for piece in pieces if piece.kind != "comment"]
    _check_depth(tokens)
    while tokens and tokens[-1].text == ";":
        blanks.append((tokens[-1].start, tokens[-1].end))
        tokens.pop()
    more = next((token for token in tokens if token.text == ";"), None)
    if more is not None:
        raise GuardError("one statement at a time", more.start)
    if len(tokens) > _TOKENS_MAX:
        raise GuardError(f"a statement has at most {_TOKENS_MAX:,} words and signs", code=62)
    if not tokens:
        raise GuardError("there is no statement", code=62)
    return Text(_blanked(statement, blanks), tuple(tokens))


def _pieces(statement: str) -> Iterator[Token]:
    """Everything but blanks, comments included."""
    at = 0
    before: Token | None = None
    while at < len(statement):
        found = _TOKEN.match(statement, at)
        if found is None or (statement.startswith("/*", at) and found.lastgroup == "mark"):
            character = statement[at]
            reason = _REASONS.get(character, f"the character {character!r} has no place here")
            raise GuardError(reason, at, code=62)
        if found.lastgroup != "space":
            token = Token(found.lastgroup or "", found.group(), at)
            _check_piece(token, before)
            yield token
            before = token
        at = found.end()


def _check_piece(token: Token, before: Token | None) -> None:
    if token.kind == "parameter" and _IDENTIFIER_TYPE.search(token.text):
        raise GuardError(
            "a parameter may stand for a value, not for a name (Identifier)", token.start
        )
    # 1name and 1(…) are read in two ways.
    touches = before is not None and before.kind == "number" and before.end == token.start
    if touches and (token.kind in {"word", "quoted", "text"} or token.text == "("):
        raise GuardError("a number that does not end", token.start, code=62)


def _check_depth(tokens: Iterable[Token]) -> None:
    depth = 0
    for token in tokens:
        depth += (token.text in {"(", "["}) - (token.text in {")", "]"})
        if not 0 <= depth <= _DEPTH_MAX:
            reason = (
                "a bracket that was not opened"
                if depth < 0
                else f"too many brackets: {_DEPTH_MAX} may be in each other"
            )
            raise GuardError(reason, token.start, code=62)


def _blanked(statement: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in sorted(spans):
        parts += [
            statement[at:start],
            "".join("\n" if sign == "\n" else " " for sign in statement[start:end]),
        ]
        at = end
    return "".join([*parts, statement[at:]])
