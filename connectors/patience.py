"""Does again what failed for now: with growing waits, counted and told, until it holds or patience ends."""

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from connectors.backoff import Backoff
from connectors.metrics import RETRIES

T = TypeVar("T")

_FIRST_S = 0.05
# Half a second to five between attempts is nothing to a store that starts, and soon enough for who waits.
_MOST_S = 5.0

log_line = structlog.get_logger(__name__)


class GivenUpError(RuntimeError):
    """It failed for longer than the patience; its cause is the last failure.

    Parameters
    ----------
    failing_s : float
        For how long it failed.
    told : bool
        Whether it was told to stop, rather than that the time was over.
    """

    def __init__(self, failing_s: float, *, told: bool) -> None:
        super().__init__(f"given up after {failing_s:.0f} s")
        self.failing_s = failing_s
        self.told = told


class Patience:
    """How long, and how, something is tried again; may be used by several threads at once.

    Parameters
    ----------
    of : str
        What is asked, in metrics and logs.
    give_up_s : float or None
        For how long; None for ever.
    stop : threading.Event or None
        Once it is set, nothing is waited for any more.
    seed : int
        Of the waits' jitter.
    """

    def __init__(
        self,
        of: str,
        *,
        give_up_s: float | None,
        stop: threading.Event | None = None,
        seed: int = 0,
    ) -> None:
        self.of = of
        self.give_up_s = give_up_s
        self.stop = stop or threading.Event()
        self._seed = seed

    def run(
        self,
        work: Callable[[], T],
        kinds: tuple[type[Exception], ...],
        cause_of: Callable[[Exception], str | None],
    ) -> T:
        """Do work until it holds.

        Parameters
        ----------
        work : callable
            Safe to repeat: it may have been done although it failed.
        kinds : tuple of exception types
            What may be a failure for now.
        cause_of : callable
            A word for a failure that can pass, for metrics; None for one that cannot, which is raised.

        Raises
        ------
        GivenUpError
            Where the patience ends.
        """
        backoff = Backoff(
            first_s=_FIRST_S, most_s=_MOST_S, seed=self._seed, give_up_s=self.give_up_s
        )
        while True:
            try:
                done = work()
            except kinds as error:
                cause = cause_of(error)
                if cause is None:
                    raise
                if backoff.is_over or self.stop.is_set():
                    raise GivenUpError(backoff.failing_s, told=self.stop.is_set()) from error
                self._wait(backoff, cause, error)
            else:
                if backoff.attempts:
                    log_line.info("went_on", of=self.of, after_s=round(backoff.failing_s, 1))
                return done

    def _wait(self, backoff: Backoff, cause: str, error: Exception) -> None:
        RETRIES.labels(self.of, cause).inc()
        wait_s = backoff.next_s()
        # Each time it has become twice as many: a dozen lines an hour.
        if backoff.attempts & (backoff.attempts - 1) == 0:
            log_line.warning(
                "trying_again",
                of=self.of,
                cause=cause,
                attempt=backoff.attempts,
                failing_s=round(backoff.failing_s, 1),
                give_up_s=self.give_up_s,
                error=str(error)[:500],
            )
        self.stop.wait(wait_s)
