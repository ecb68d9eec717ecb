"""Questions over HTTP, such as for a book's snapshot: limited, one of a key at a time, with waits in between."""

import asyncio
from collections.abc import Sequence
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from connectors.backoff import Backoff
from connectors.live.adapter import Adapter, Message, Request
from connectors.live.items import Buffer, ClientOptions, Failed, Item
from connectors.live.rates import RateLimit

# What is asked again within so long of the last time waits: the answer was not good enough.
_AGAIN_S = 60.0
# A venue bans for three days at most; a longer wait is a mistake of the answer.
_RETRY_MOST_S = 3 * 86_400
_DIGITS_MOST = 9
_OK = 200
# Too many requests; Binance says 418 to who went on all the same.
_TOO_MANY = frozenset({418, 429})


class Asking:
    """Asks, and puts the answers among the messages.

    Parameters
    ----------
    adapter : Adapter
        Whose questions.
    buffer : Buffer
        Where the answers go.
    options : ClientOptions
        Waits and time-outs.
    """

    def __init__(self, adapter: Adapter, buffer: Buffer, options: ClientOptions) -> None:
        self._adapter = adapter
        self._buffer = buffer
        self._options = options
        self._limit = RateLimit(adapter.limits.requests)
        self._asked: dict[str, tuple[float, Backoff]] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        # Until when, by the loop's clock, the venue wants to be asked nothing.
        self._quiet_until_s = 0.0

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """What is under way."""
        return tuple(self._under_way.values())

    def ask(self, request: Request) -> None:
        """Ask, unless the same is under way."""
        if request.key in self._under_way:
            return
        options = self._options
        now_s = asyncio.get_running_loop().time()
        last_s, backoff = self._asked.get(request.key) or (
            now_s - _AGAIN_S,
            Backoff(
                first_s=options.backoff_first_s, most_s=options.backoff_most_s, seed=options.seed
            ),
        )
        wait_s = 0.0
        if now_s - last_s < _AGAIN_S:
            wait_s = backoff.next_s()
        else:
            backoff.reset()
        self._asked[request.key] = (now_s + wait_s, backoff)
        self._under_way[request.key] = asyncio.create_task(self._answer(request, wait_s))

    def looked_at(self, items: Sequence[Item]) -> None:
        """What was answered among these may be asked again: it was seen what came of it."""
        for item in items:
            if isinstance(item, Message) and item.answers:
                self._under_way.pop(item.answers, None)
            elif isinstance(item, Failed):
                self._under_way.pop(item.request.key, None)

    async def _answer(self, request: Request, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._turn(request)
        try:
            body = await asyncio.to_thread(self._get, request.url)
        except (urllib3.exceptions.HTTPError, _NoAnswerError) as error:
            if isinstance(error, _NoAnswerError) and error.retry_s:
                told = f"{error}; it asks to wait {error.retry_s:g} s"
                await self._buffer.notice("rate_limited", told)
                until_s = asyncio.get_running_loop().time() + error.retry_s
                self._quiet_until_s = max(self._quiet_until_s, until_s)
                await asyncio.sleep(error.retry_s)
            await self._buffer.failed(request, f"{type(error).__name__}: {error}")
        else:
            await self._buffer.message(self._adapter.answered(request, body), answers=request.key)

    async def _turn(self, request: Request) -> None:
        """Wait until the limit allows a request, and the venue does: who goes on when told to wait is banned."""
        loop = asyncio.get_running_loop()
        rate = self._adapter.limits.requests
        what = f"of requests' weight ({request.key})"
        await self._buffer.limited(self._limit, rate, what, request.cost)
        while (wait_s := self._quiet_until_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
            # All that wait would ask in one moment.
            await self._buffer.limited(self._limit, rate, what, request.cost)

    def _get(self, url: str) -> bytes:
        answer = _pool(url).request("GET", url, retries=False, timeout=self._options.request_s)
        if answer.status == _OK:
            return answer.data
        text = answer.data[:200].decode(errors="replace")
        retry_s = answer.headers.get("Retry-After", "1") if answer.status in _TOO_MANY else "0"
        # It may be a date too: then the usual waits must do.
        raise _NoAnswerError(
            f"{url}: status {answer.status}: {text}",
            min(int(retry_s), _RETRY_MOST_S)
            if retry_s.isdecimal() and len(retry_s) <= _DIGITS_MOST
            else 0,
        )


@cache
def _way(scheme: str, host: str) -> urllib3.PoolManager:
    """The way to a host: through the system's proxy where it has one, as the WebSocket's own is."""
    proxy = getproxies().get(scheme)
    if proxy is None or proxy_bypass(host):
        return urllib3.PoolManager()
    return urllib3.ProxyManager(proxy)


def _pool(url: str) -> urllib3.PoolManager:
    parts = urlsplit(url)
    return _way(parts.scheme, parts.hostname or "")


class _NoAnswerError(RuntimeError):
    """An HTTP answer that is none; ``retry_s`` says how long the venue wants us to wait."""

    def __init__(self, message: str, retry_s: int) -> None:
        super().__init__(message)
        self.retry_s = retry_s
