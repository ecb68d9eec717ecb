"""The program `tapeflow store`: owns the embedded store and answers ClickHouse's HTTP protocol on loopback."""

from collections.abc import Callable

from connectors.chdb_engine import StoreError
from connectors.chdb_server import Address, serve
from connectors.clickhouse import store_path


def run_store(
    store_url: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[Address], None] | None = None,
) -> None:
    """Serve the store until SIGINT or SIGTERM.

    Parameters
    ----------
    store_url : str
        ``chdb:///path``.
    host, port : str, int
        Where to listen; port 0 takes a free one, which ``<path>/store.json`` tells.
    ready : callable, optional
        Called with the address once queries are answered.

    Raises
    ------
    StoreError
        Where the URL names a server, another process holds the store, or the port is taken.
    """
    if not store_url.startswith("chdb:"):
        raise StoreError(f"store {store_url!r} is a server of its own; there is nothing to start")
    serve(store_path(store_url), host, port, ready)
