"""What a user's request becomes before the engine sees it: checked, cut down to its rights, limited."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from connectors.chdb_engine import Session
from connectors.chdb_request import Call
from connectors.chdb_roles import LANDER, roles_for
from connectors.chdb_settings import INSERTS, SHAPES, asked_settings
from connectors.clickhouse_statement import InsertHead, StatementError
from connectors.sql_guard import Checked, check_statement
from connectors.sql_guard_engine import PARSE, check_with_engine
from connectors.sql_guard_outside import FORMATS
from connectors.sql_guard_tables import DATABASE, views
from connectors.sql_guard_text import GuardError, Token, read_text
from connectors.sql_texts import sql_folder
from connectors.store_key import ON_BEHALF, PROGRAMS
from connectors.store_quotas import LIMIT_SETTINGS, Limits, changed
from connectors.store_users import StoreRole, StoreUser
from schemas.clickhouse_ddl import create_table
from schemas.registry import TOPICS

READER_BODY_BYTES = 8 << 20

# Formats of data that are data only: in Values, an expression is computed.
_INSERT_FORMATS = frozenset(
    {"Arrow", "ArrowStream", "Parquet", "Native", "JSONEachRow", "CSV", "CSVWithNames", "RowBinary"}
    | {"RowBinaryWithNamesAndTypes", "TabSeparated", "TSV", "TSVWithNames", "TabSeparatedWithNames"}
)
# chDB takes a bare expression for a SELECT.
_NOTHING_IMPLIED = {"implicit_select": "0"}
_SETTINGS_TABLE = "system.settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A call that may be run, and as what.

    Parameters
    ----------
    call : Call
        The call; of a bound user, its statement is the text that was checked.
    roles : tuple of str, or None
        That its session has left; None for all.
    settings : mapping of str to str
        That hold for it.
    checked : Checked or None
        What the guard found, of a bound user's SELECT.
    """

    call: Call
    roles: tuple[str, ...] | None
    settings: Mapping[str, str]
    checked: Checked | None = None

    def confirm(self, session: Session) -> None:
        """Let the engine read the text as well; called before the session is cut down.

        Raises
        ------
        GuardError
            Where it reads what the guard did not.
        """
        if self.checked is None or self.checked.describes:
            return

        def parse(text: str) -> bytes:
            session.bind({"statement": _escaped(text)})
            return session.run(PARSE.encode(), "TSVRaw").body

        check_with_engine(self.checked.text, parse)


def on_behalf(user: StoreUser, header: str | None) -> StoreUser:
    """The user that the platform's API asks for.

    Raises
    ------
    StatementError
        Where another than the platform's own programs says so, or not in the way they do.
    """
    if header is None:
        return user
    if user.name != PROGRAMS:
        raise StatementError(
            f"Code: 497. DB::Exception: {ON_BEHALF}: {user.name} asks for itself only. (ACCESS_DENIED)"
        )
    try:
        said = orjson.loads(header)
        limits = changed(Limits(), said.get("limits", {}))
        reads = frozenset(said["topics"]) & frozenset(TOPICS)
        name = f"api:{said['user']}"
    except (ValueError, KeyError, TypeError) as error:
        raise StatementError(
            f"Code: 36. DB::Exception: {ON_BEHALF}: {error}. (BAD_ARGUMENTS)"
        ) from error
    return StoreUser(name=name, role=StoreRole.QUANT, reads=reads, limits=limits)


def admit(call: Call, user: StoreUser) -> Admitted:
    """Check a call, and say what it may do.

    Raises
    ------
    StatementError
        Where the user may not run it, or asks for settings that are not the user's to change.
    """
    _check_role(call, user)
    if not user.is_bound:
        return Admitted(call=call, roles=None, settings=call.settings)
    if call.parameters.get("database", DATABASE) not in {DATABASE, ""}:
        raise StatementError(
            f"Code: 497. DB::Exception: the database is {DATABASE}. (ACCESS_DENIED)"
        )
    if user.role is StoreRole.LANDER:
        landing = _landing(call, user)
        if landing is not None:
            return landing
    return _reading(call, user)


def _reading(call: Call, user: StoreUser) -> Admitted:
    checked = check_statement(_decoded(call.statement), user.scope)
    output = checked.format or call.format
    if output not in FORMATS:
        raise GuardError(f"the format {output} is not for answers to analysts")
    settings = asked_settings(call.settings, SHAPES | INSERTS | LIMIT_SETTINGS)
    settings = {
        **{name: value for name, value in settings.items() if name in SHAPES},
        **_NOTHING_IMPLIED,
        **user.limits.settings(settings),
    }
    if checked.tables == {_SETTINGS_TABLE}:
        # Drivers ask it which settings they may send along, and under readonly = 1 it says none.
        settings["readonly"] = "2"
    return Admitted(
        call=replace(call, statement=checked.text.encode(), head=None, format=output),
        roles=roles_for(_granted(checked, user)),
        settings=settings,
        checked=checked,
    )


def _granted(checked: Checked, user: StoreUser) -> frozenset[str]:
    """Our tables and views that the engine must let this statement read: what was found, and no other."""
    if any(not name.startswith(f"{DATABASE}.") for name in checked.tables):
        # A list of tables shows those of the session's rights.
        return user.scope.tables
    own = {name.removeprefix(f"{DATABASE}.") for name in checked.tables}
    # A view reads with the rights of who asks. That of another view has only its topics' rights here.
    through = {topic for name in own & views().keys() for topic in views()[name]}
    inner = {name for name, reads in views().items() if own & views().keys() and reads <= through}
    return frozenset(own | through | inner)


def _landing(call: Call, user: StoreUser) -> Admitted | None:
    """A write of a lander; None for what is none."""
    settings = asked_settings(call.settings, SHAPES | INSERTS | LIMIT_SETTINGS)
    if call.head is not None:
        _check_insert(call.head)
    elif _decoded(call.statement).strip() not in _definitions():
        return None
    kept = {name: value for name, value in settings.items() if name not in LIMIT_SETTINGS}
    if "max_threads" in settings:
        kept["max_threads"] = str(min(_whole(settings["max_threads"]), user.limits.threads))
    return Admitted(call=call, roles=(LANDER,), settings=kept)


def _check_insert(head: InsertHead) -> None:
    tokens = read_text(_decoded(head.target)).tokens
    words = [token.upper for token in tokens]
    at = 3 if words[:3] == ["INSERT", "INTO", "TABLE"] else 2
    name, columns = _named(tokens[at:])
    if words[:2] != ["INSERT", "INTO"] or name not in TOPICS or not _is_list_of_names(columns):
        raise GuardError(
            "a lander inserts into the topics' tables: INSERT INTO topic (columns) FORMAT …"
        )
    if head.settings or head.format not in _INSERT_FORMATS:
        raise GuardError(
            f"a lander's INSERT has no SETTINGS, and a FORMAT of {', '.join(sorted(_INSERT_FORMATS))}"
        )


def _named(tokens: tuple[Token, ...]) -> tuple[str, tuple[Token, ...]]:
    if len(tokens) >= 3 and tokens[0].name == DATABASE and tokens[1].text == ".":
        tokens = tokens[2:]
    return (tokens[0].name, tokens[1:]) if tokens else ("", ())


def _is_list_of_names(tokens: tuple[Token, ...]) -> bool:
    if not tokens:
        return True
    inside = tokens[1:-1]
    return (
        tokens[0].text == "("
        and tokens[-1].text == ")"
        and all(token.name for token in inside[::2])
        and all(token.text == "," for token in inside[1::2])
    )


def _definitions() -> frozenset[str]:
    """The definitions of our tables and views, word for word."""
    made = {create_table(topic).strip() for topic in TOPICS.values()}
    return frozenset(
        made | {file.read_text().strip() for file in sql_folder("views").glob("*.sql")}
    )


def _check_role(call: Call, user: StoreUser) -> None:
    role = call.parameters.get("role", user.role)
    if role != user.role:
        raise StatementError(
            f"Code: 512. DB::Exception: {user.name}: Role {role} should be granted to set as current. "
            "(SET_NON_GRANTED_ROLE)"
        )


def _whole(text: str) -> int:
    return int(text) if text.isdigit() and int(text) > 0 else 1


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise GuardError(f"the statement is not UTF-8 ({error})", code=62) from None


def _escaped(text: str) -> str:
    """A parameter's value is read as in TSV."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
