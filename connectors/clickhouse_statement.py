"""What a ClickHouse statement's outside says: where an INSERT's data begins, which FORMAT is wanted.

Only the outermost tokens are looked at; the engine parses the statement itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, pairwise

# As ClickHouse's max_query_size: what comes behind is an INSERT's data, never its head.
_HEAD_BYTES = 262_144

_TOKEN = re.compile(
    rb"(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)"
    rb"|(?P<quoted>'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\")"
    rb"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    rb"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<other>.)",
    re.DOTALL,
)
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_AFTER_FORMAT = re.compile(rb"[ \t\f]*\r?\n?")
# A SELECT may stand in brackets, as parts of a UNION do, and behind its FROM.
_SELECTS = frozenset({b"SELECT", b"WITH", b"FROM", b"("})
_GIVE_ROWS = _SELECTS | {b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"CHECK"}
_READS = _GIVE_ROWS | {b"USE", b"SET"}
# What may stand behind such a beginning: WITH … INSERT INTO, SELECT … PARALLEL WITH TRUNCATE.
_WRITES = frozenset({(b"INSERT", b"INTO"), (b"PARALLEL", b"WITH")})
_OUTFILE = re.compile(rb"\bOUTFILE\b", re.IGNORECASE)
# An INSERT with one of these brings no data behind the statement that we would have to hand over.
_SELF_CONTAINED = frozenset({b"VALUES", b"SELECT", b"WITH", b"WATCH", b"INFILE"})


class StatementError(RuntimeError):
    """ClickHouse's answer to a statement it refuses.

    Parameters
    ----------
    text : str
        ``Code: N. DB::Exception: …``, as ClickHouse says it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        code = _CODE.search(text)
        self.code = int(code.group(1)) if code else 0


@dataclass(frozen=True, slots=True)
class InsertHead:
    """The head of ``INSERT INTO … [SETTINGS …] FORMAT name`` whose data follows.

    Parameters
    ----------
    target : bytes
        Up to the table and its columns.
    settings : bytes
        ``SETTINGS …`` or nothing.
    format : str
        Format of the data.
    data_at : int
        Where the data begins in the text.
    """

    target: bytes
    settings: bytes
    format: str
    data_at: int


def insert_head(text: bytes) -> InsertHead | None:
    """The head of an INSERT whose data follows it; None for every other statement."""
    words = _outer_words(text[:_HEAD_BYTES])
    first, _, _ = next(words, (b"", 0, 0))
    if first != b"INSERT":
        return None
    settings_at = 0
    for word, start, end in words:
        if word in _SELF_CONTAINED:
            return None
        if word == b"SETTINGS":
            settings_at = start
        if word == b"FORMAT":
            name = next(words, None)
            if name is None:
                return None
            cut = settings_at or start
            gap = _AFTER_FORMAT.match(text, name[2])
            return InsertHead(
                target=text[:cut].rstrip(),
                settings=text[cut:start].rstrip(),
                format=text[name[1] : name[2]].decode(),
                data_at=gap.end() if gap else end,
            )
    return None


def output_format(text: bytes) -> str | None:
    """The name behind the statement's own, outermost FORMAT; None without, and for an INSERT."""
    found = None
    words = _outer_words(text)
    for word, start, _ in words:
        if word == b"INSERT" and not start:
            return None
        if word == b"FORMAT":
            name = next(words, None)
            if name is not None:
                found = text[name[1] : name[2]].decode()
    return found


def is_select(text: bytes) -> bool:
    """Whether the statement is a SELECT, whose result can be streamed."""
    return _first(text) in _SELECTS


def is_only_select(text: bytes) -> bool:
    """Whether the text is one SELECT, with no other statement behind it."""
    return is_select(text) and not (b";" in text and _has_end(text))


def reads_input(text: bytes) -> bool:
    """Whether the statement is an INSERT that takes its data through the function ``input``."""
    head = text[:_HEAD_BYTES]
    first, _, _ = next(_outer_words(head), (b"", 0, 0))
    if first != b"INSERT":
        return False
    before = last = b""
    for token in _TOKEN.finditer(head):
        if token.lastgroup == "skip":
            continue
        if last == b"FORMAT":
            return False  # what follows is data
        if (before, last, token.group()) == (b"FROM", b"INPUT", b"("):
            return True
        before, last = last, token.group().upper()
    return False


def writes_file(text: bytes) -> bool:
    """Whether the statement's result is to go into a file: ``INTO OUTFILE``."""
    # To cut a statement into words takes as long as to run a small one; what is longer is an INSERT's values.
    head = text[:_HEAD_BYTES]
    if _OUTFILE.search(head) is None:
        return False
    before = b""
    for word, after in pairwise(word for word, _, _ in _outer_words(head)):
        if before != b"INSERT" and (word, after) == (b"INTO", b"OUTFILE"):
            return True
        before = word
    return False


def only_reads(text: bytes) -> bool:
    """Whether the text is one statement, and such as changes nothing in the store."""
    if _first(text) not in _READS or (b";" in text and not _is_one(text)):
        return False
    return _WRITES.isdisjoint(pairwise(word for word, _, _ in _outer_words(text)))


def gives_rows(text: bytes) -> bool:
    """Whether the statement begins as one whose answer is rows."""
    return _first(text) in _GIVE_ROWS


def _first(text: bytes) -> bytes:
    """The statement's first word, in upper case, or the bracket that it begins with."""
    tokens = _TOKEN.finditer(text[:_HEAD_BYTES])
    return next((token.group().upper() for token in tokens if token.lastgroup != "skip"), b"")


def _is_one(text: bytes) -> bool:
    """Whether nothing but comments stands behind the first semicolon that is in no quotes and no comment."""
    tokens = (token for token in _TOKEN.finditer(text) if token.lastgroup != "skip")
    behind = dropwhile(lambda token: token.group() != b";", tokens)
    return all(token.group() == b";" for token in behind)


def _has_end(text: bytes) -> bool:
    """Whether a semicolon is there that is in no quotes and no comment."""
    return any(token.group() == b";" for token in _TOKEN.finditer(text))


def _outer_words(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Words outside of quotes, comments and brackets: upper case, start and end."""
    depth = 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and depth == 0:
            yield token.group().upper(), token.start(), token.end()
