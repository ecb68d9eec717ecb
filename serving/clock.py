"""The program `clock`: once a second, passes time on for live sources."""

from threading import Event

import structlog

from connectors.clock import Clock
from connectors.log import open_log

_TICK_S = 1.0


def run_clock(log_url: str, lateness_s: float, stop: Event) -> None:
    """Append watermark rows for live sources until told to stop.

    Parameters
    ----------
    log_url : str
        The log; its topics are there.
    lateness_s : float
        How far behind its source's newest row a live row may come.
    stop : threading.Event
        Set it to end.
    """
    logger = structlog.get_logger("clock")
    with open_log(log_url) as log:
        clock = Clock(log, lateness_ns=int(lateness_s * 1e9))
        logger.info("clock started", log=log_url)
        rows = 0
        while not stop.wait(_TICK_S):
            clock.read()
            rows += clock.tick()
        clock.close()
    logger.info("clock stopped", watermark_rows=rows)
