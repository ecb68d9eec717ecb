"""The live sources by name, and their adapters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.feeds.source import FeedError
from connectors.live.adapter import Adapter
from connectors.live.alpaca import FEEDS, AlpacaAdapter
from connectors.live.binance import MARKETS, BinanceAdapter
from connectors.live.generic import GenericAdapter
from connectors.live.mapping import read_live_mapping


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """What to connect to.

    Parameters
    ----------
    name : str
        One of `NAMES`, or the path of a mapping (``.toml``).
    symbols : tuple of str
        What to subscribe to.
    channels : tuple of str
        Which of the source's streams; its usual ones where it is empty.
    url, rest_url : str
        In place of the source's own addresses, where they are not empty.
    credentials : mapping of str to str
        By name.
    source : str
        Name of the source in headers, feed events and dead letters; the adapter's usual one where it is empty. Two
        feeds at once need two names: a second one of a name ends the first.
    """

    name: str
    symbols: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    url: str = ""
    rest_url: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: str = ""


NAMES = (*MARKETS, *FEEDS)


def open_adapter(source: LiveSource) -> Adapter:
    """The adapter of a source.

    Raises
    ------
    FeedError
        For an unknown name or channel, or a mapping that cannot be.
    """
    adapter = _adapter(source)
    adapter.source = source.source or adapter.source
    return adapter


def _adapter(source: LiveSource) -> Adapter:
    if source.name in MARKETS:
        return BinanceAdapter(
            MARKETS[source.name],
            symbols=source.symbols,
            channels=source.channels,
            url=source.url,
            rest_url=source.rest_url,
        )
    if source.name in FEEDS:
        return AlpacaAdapter(
            FEEDS[source.name],
            symbols=source.symbols,
            credentials=source.credentials,
            channels=source.channels,
            url=source.url,
        )
    if source.name.endswith(".toml"):
        return GenericAdapter(
            read_live_mapping(Path(source.name)),
            symbols=source.symbols,
            credentials=source.credentials,
            url=source.url,
        )
    raise FeedError(
        f"no live source {source.name!r}; there are {', '.join(NAMES)}, or name a mapping (a .toml file)"
    )
