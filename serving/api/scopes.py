"""Who may do what: the scopes, the roles that have them, and the scope that each topic's rows need.

The only place where this is said. Every route names a scope of this table (a test walks them), and so do the
stream and query routers for topics; ``docs/api.md`` prints it.
"""

from enum import StrEnum

from schemas.registry import TOPICS


class Scope(StrEnum):
    """A right; a route needs exactly one."""

    ME = "me"
    MARKET_READ = "market:read"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    ACCOUNTS_HALT = "accounts:halt"
    SQL_RUN = "sql:run"
    OPERATIONS_READ = "operations:read"
    AUDIT_READ = "audit:read"
    USERS_WRITE = "users:write"


MEANINGS: dict[Scope, str] = {
    Scope.ME: "One's own password, second factor, devices and API keys",
    Scope.MARKET_READ: "Market data and what is derived from it",
    Scope.ORDERS_READ: "Orders, their events and executions, of accounts that one may see",
    Scope.ORDERS_WRITE: "Give, replace and cancel orders, for accounts that one may trade",
    Scope.ACCOUNTS_READ: "Accounts, positions, balances and cash, of accounts that one may see",
    Scope.ACCOUNTS_WRITE: "Open accounts, set their limits, book cash",
    Scope.ACCOUNTS_HALT: "Throw the kill switch of an account or of the firm",
    Scope.SQL_RUN: "Read-only SQL over the tables that one may see",
    Scope.OPERATIONS_READ: "How the platform does: metrics, lags, rejected and late rows",
    Scope.AUDIT_READ: "The audit log",
    Scope.USERS_WRITE: "Users, their roles and accounts, their devices and keys",
}


class Role(StrEnum):
    """What a user is; a user may have several."""

    TRADER = "trader"
    QUANT = "quant"
    COMPLIANCE = "compliance"
    ADMIN = "admin"


ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.TRADER: frozenset(
        {
            Scope.ME,
            Scope.MARKET_READ,
            Scope.ORDERS_READ,
            Scope.ORDERS_WRITE,
            Scope.ACCOUNTS_READ,
        }
    ),
    Role.QUANT: frozenset({Scope.ME, Scope.MARKET_READ, Scope.SQL_RUN, Scope.OPERATIONS_READ}),
    Role.COMPLIANCE: frozenset(
        {
            Scope.ME,
            Scope.MARKET_READ,
            Scope.ORDERS_READ,
            Scope.ACCOUNTS_READ,
            Scope.ACCOUNTS_HALT,
            Scope.OPERATIONS_READ,
            Scope.AUDIT_READ,
        }
    ),
    Role.ADMIN: frozenset(Scope),
}

# Whoever watches all of the firm sees all of its accounts; only an admin trades on all.
SEES_ALL_ACCOUNTS = frozenset({Role.COMPLIANCE, Role.ADMIN})
TRADES_ALL_ACCOUNTS = frozenset({Role.ADMIN})

_TOPICS: dict[Scope, tuple[str, ...]] = {
    Scope.MARKET_READ: (
        "quotes",
        "trades",
        "book_events",
        "feed_events",
        "vendor_bars",
        "bars",
        "bars_revised",
        "bars_rolled",
        "event_bars",
        "quote_bars",
        "indicators",
        "benchmark_bars",
        "relative",
        "nbbo",
        "trade_signs",
        "trade_impacts",
        "composite_quotes",
        "source_lags",
        "book_top",
        "book_faults",
        "corrections_unapplied",
        "instruments",
        "breadth_parts",
        "breadth",
        "index_levels",
        "scans",
        "marks",
        "corporate_actions",
    ),
    Scope.ORDERS_READ: (
        "orders",
        "order_events",
        "instructions",
        "order_reports",
        "executions",
        "routing_decisions",
        "algorithm_reports",
        "broker_orders",
        "broker_reports",
    ),
    Scope.ACCOUNTS_READ: (
        "accounts",
        "cash_movements",
        "positions",
        "lot_closings",
        "balances",
        "ledger_faults",
    ),
    Scope.OPERATIONS_READ: ("late", "dead_letter", "foreign_schemas", "quality_results"),
    Scope.AUDIT_READ: ("audit_log",),
}

TOPIC_SCOPES: dict[str, Scope] = {name: scope for scope, names in _TOPICS.items() for name in names}
"""The scope that reading a topic's rows needs, by topic; a topic that is not here is read by nobody. Rows with an ``account`` are also
filtered by it."""

UNFILTERED_TOPICS = frozenset(
    name
    for scope in (Scope.ORDERS_READ, Scope.ACCOUNTS_READ)
    for name in _TOPICS[scope]
    if "account" not in TOPICS[name].schema.names
    # A rejected order is somebody's, too: its bytes are here as they came.
) | {"dead_letter"}
"""Topics with somebody's orders or accounts whose rows do not say whose."""


def scopes_of(roles: frozenset[Role]) -> frozenset[Scope]:
    """All that somebody of these roles may do."""
    return frozenset[Scope]().union(*(ROLE_SCOPES[role] for role in roles))
