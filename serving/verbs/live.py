"""What `tapeflow feed` does with a live source, or with the recording of one."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING

import typer

from serving.settings import Settings

if TYPE_CHECKING:
    from connectors.live.adapter import Noticed
    from connectors.live.sink import LiveCounts


@dataclass(frozen=True, kw_only=True)
class LiveRequest:
    """What the command line says of a live source (see `serving.verbs.inputs.feed`)."""

    live: str | None
    recorded_from: str | None
    source: str
    symbols: str
    channels: str
    url: str
    rest_url: str
    capture: Path | None
    seconds: float | None
    again: bool
    json: bool


def feed_live(settings: Settings, paths: Sequence[Path], asked: LiveRequest) -> None:
    """Feed from a live source until Ctrl-C, or its recordings to their ends."""
    from connectors.live.items import ClientOptions
    from connectors.live.program import LiveOptions, replay_captures, run_live
    from connectors.live.sink import SinkOptions
    from connectors.live.sources import LiveSource, open_adapter
    from connectors.log import open_log
    from connectors.topics import create_topics
    from serving.logs import configure_logs

    if (asked.live is None) == (asked.recorded_from is None) or bool(paths) != (asked.live is None):
        raise typer.BadParameter(
            "say --live SOURCE to connect, or FILE… --recorded-from SOURCE for what was captured"
        )
    source = LiveSource(
        name=asked.live or asked.recorded_from or "",
        symbols=_listed(asked.symbols),
        channels=_listed(asked.channels),
        url=asked.url,
        rest_url=asked.rest_url,
        credentials={
            name: secret.get_secret_value() for name, secret in settings.credentials.items()
        },
        source=asked.source,
    )
    options = LiveOptions(
        sink=SinkOptions(
            calendar=settings.calendar, lateness_ns=int(settings.live_lateness_s * 1e9)
        ),
        # No two programs should come back at the same moments.
        client=ClientOptions(seed=int.from_bytes(os.urandom(4))),
        capture=asked.capture,
        again=asked.again,
    )
    configure_logs()
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
        if asked.live is not None:
            stop = _stop_after(asked.seconds)
            _tell(run_live(log, open_adapter(source), options, stop, _log_events), json=asked.json)
        else:
            for counts in replay_captures(log, lambda: open_adapter(source), paths, options):
                _tell(counts, json=asked.json)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _stop_after(seconds: float | None) -> Event:
    from serving.stopping import stop_event

    stop = stop_event()
    if seconds is not None:
        timer = Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
    return stop


def _log_events(events: "Sequence[Noticed]") -> None:
    """A line for what is about the connection; what is about single messages is in `feed_events`."""
    import structlog

    logger = structlog.get_logger("live")
    for event in events:
        if event.symbol is None and event.kind != "skipped":
            logger.info(event.kind, detail=event.detail)


def _tell(counts: "LiveCounts", *, json: bool) -> None:
    import orjson

    if json:
        typer.echo(orjson.dumps(asdict(counts)).decode())
        return
    rows = ", ".join(f"{count:,} {topic}" for topic, count in counts.rows.items()) or "no rows"
    events = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.events.items()))
    typer.echo(f"{counts.messages:,} messages: {rows}; {counts.rejected:,} dead letters")
    if events:
        typer.echo(f"feed events: {events}")
