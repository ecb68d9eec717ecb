"""All of a live feed: wire, recording, adapter, log. And of a recording: the same without the wire."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event

from connectors.feeds.ledger import BEGUN, FileState, read_ledger
from connectors.feeds.reading import Window
from connectors.feeds.source import FeedError
from connectors.live.adapter import Adapter, Bad, Message, Noticed, Parsed
from connectors.live.capture import CaptureWriter, read_capture
from connectors.live.client import Client
from connectors.live.items import ClientOptions, Failed, Item, Opened
from connectors.live.sink import LiveCounts, LiveSink, SinkOptions
from connectors.log import Log


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """How a live source is fed.

    Parameters
    ----------
    sink : SinkOptions
        How rows are appended.
    client : ClientOptions
        How patient the connection is.
    capture : pathlib.Path or None
        Where the raw wire is recorded.
    again : bool
        Whether a recording that was fed before is fed once more.
    """

    sink: SinkOptions = field(default_factory=SinkOptions)
    client: ClientOptions = field(default_factory=ClientOptions)
    capture: Path | None = None
    again: bool = False


def run_live(
    log: Log,
    adapter: Adapter,
    options: LiveOptions,
    stop: Event,
    on_events: Callable[[Sequence[Noticed]], None] = lambda _: None,
) -> LiveCounts:
    """Feed a live source until told to stop.

    Parameters
    ----------
    log : Log
        With its topics made.
    adapter : Adapter
        The source.
    options : LiveOptions
        How.
    stop : threading.Event
        Set it to end; what was received is appended before.
    on_events : callable
        Told of feed events as they are appended.

    Returns
    -------
    LiveCounts
        What came.

    Raises
    ------
    FeedError
        Where a credential is missing, the capture's file is there already, or the venue refuses.
    """
    # What it would say shows at once whether all that it needs is there.
    adapter.opened()
    with ExitStack() as stack:
        capture = None
        if options.capture is not None:
            capture = stack.enter_context(closing(CaptureWriter(options.capture)))
        sink = stack.enter_context(closing(LiveSink(log, adapter, options.sink)))

        def work(items: Sequence[Item]) -> Parsed:
            messages = [item for item in items if isinstance(item, Message)]
            # The wire first: whatever happens to the rest, it can be replayed.
            if capture is not None:
                if adapter.is_anew and isinstance(items[0], Opened):
                    capture.opened(options.sink.clock.now_ns())
                capture.write(messages)
            parsed = _parsed(adapter, items, messages)
            sink.take(messages, parsed)
            on_events(parsed.noticed)
            return parsed

        asyncio.run(Client(adapter, work, options.client).run(stop))
        sink.finish()
    return sink.counts


def replay_captures(
    log: Log, open_adapter: Callable[[], Adapter], paths: Sequence[Path], options: LiveOptions
) -> Iterator[LiveCounts]:
    """Feed recordings of a live source, one behind the other: sessions end with the last of them.

    A call that was killed is gone on with by the same one again.

    Parameters
    ----------
    log : Log
        With its topics made.
    open_adapter : callable
        Gives the source that was recorded, anew for each recording.
    paths : sequence of pathlib.Path
        The recordings, in the order of their times.
    options : LiveOptions
        How; the rows are not live.

    Yields
    ------
    LiveCounts
        What came, of each recording; nothing of one that the call that was killed has fed whole.

    Raises
    ------
    FeedError
        Where one was fed before, or another way has begun to feed it; nothing is appended then.
    BrokenFileError
        At the end of one that breaks off; what comes before that was fed.
    """
    source = open_adapter().source
    later = [*(True for _ in paths[1:]), False]
    for path, more in zip(paths, later, strict=True):
        _begun(log, source, path, options, more=more)
    for path, more in zip(paths, later, strict=True):
        yield replay_capture(log, open_adapter(), path, options, more=more)


def replay_capture(
    log: Log, adapter: Adapter, path: Path, options: LiveOptions, *, more: bool = False
) -> LiveCounts:
    """Feed the recording of a live source: the same messages, parsed in the same way.

    A call that was killed is gone on with by the next one. ``more`` is whether another recording follows, so that
    no session ends with this one. Parameters and errors are those of `replay_captures`.
    """
    digest, done = _begun(log, adapter.source, path, options, more=more)
    if done is None:
        return LiveCounts()
    state = FileState(name=f"{path.absolute().parent.name}/{path.name}", topic="")
    with closing(LiveSink(log, adapter, _recorded(options.sink, digest, state))) as sink:
        for messages in read_capture(path):
            for part in _parts(messages, options.client.batch_messages, done):
                append = sink.take if part[0].number > done else sink.skip
                if part[0].opened:
                    adapter.forget()
                said = [message for message in part if not (message.fault or message.opened)]
                parsed = adapter.parse(said)
                parsed.bad += [
                    Bad(message.number, message.fault, message.payload)
                    for message in part
                    if message.fault
                ]
                append(part, parsed)
        sink.finish(more=more)
    return sink.counts


def _begun(
    log: Log, source: str, path: Path, options: LiveOptions, *, more: bool
) -> tuple[str, int | None]:
    """A recording's digest, and how many lines of it an earlier call that was killed has fed; None for all."""
    digest = _digest(path)
    known = None if options.again else read_ledger(log).fed(digest, "", Window())
    if known is None:
        return digest, 0
    run, state = known
    is_own = run.run.startswith(f"live:{source}:")
    if state.status != BEGUN:
        if more and is_own and run.is_left_open:
            return digest, None
        raise FeedError(f"{path} was fed before, as {state.label}; --again feeds it once more")
    if not is_own:
        raise FeedError(
            f"{path} was begun in another way, as {state.label} ({run.run}): go on in that way; "
            "--again feeds it from its start"
        )
    return digest, state.lines


def _parsed(adapter: Adapter, items: Sequence[Item], messages: Sequence[Message]) -> Parsed:
    """What a batch came to: a new connection stands before its messages, failures behind them."""
    greeting = adapter.opened() if isinstance(items[0], Opened) else []
    parsed = adapter.parse(messages)
    parsed.sends[:0] = greeting
    for item in items:
        if isinstance(item, Noticed):
            parsed.noticed.append(item)
        elif isinstance(item, Failed):
            told = adapter.failed(item.request, item.ts_ns, item.why)
            parsed.noticed += told.noticed
            parsed.requests += told.requests
    return parsed


def _recorded(sink: SinkOptions, digest: str, state: FileState) -> SinkOptions:
    return SinkOptions(
        live=False,
        calendar=sink.calendar,
        lateness_ns=sink.lateness_ns,
        batch_rows=sink.batch_rows,
        clock=sink.clock,
        file=(digest, state),
    )


def _parts(messages: Sequence[Message], size: int, done: int) -> Iterator[Sequence[Message]]:
    """Messages in parts, none of which goes over message ``done``, and a new connection begins one."""
    opened = [at for at, message in enumerate(messages) if message.opened]
    for begin, behind in pairwise(sorted({0, *opened, len(messages)})):
        at = begin
        while at < behind:
            left = done + 1 - messages[at].number
            end = min(behind, at + min(size, left if left > 0 else size))
            yield messages[at:end]
            at = end


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
