"""`tapeflow topics repair`: a log that lost records is made whole again, and with it what was made of them.

Nothing is changed before it is said, and then only with ``--yes``. A SQLite log is mended in a copy that takes
its place; the old file is kept. Kafka cuts no partition at its end: there only the sinks can be mended.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from connectors.clickhouse import StoreLink, create_tables
from connectors.lake_lock import sole_lander
from connectors.landing_loss import (
    Excess,
    excesses,
    record_mended,
    record_mending,
    remove_excess,
    sinks_beyond,
)
from connectors.landings import read_state
from connectors.log import Log, LogError, open_log
from connectors.log_loss import Beyond, Place, stored_beyond, whole_before_ns
from connectors.sqlite_cut import Cut, cut_from, number_writers
from connectors.sqlite_repair import Draft, Removed, drafted, put_in_place
from flows.catalog import catalog
from schemas.registry import TOPICS
from serving.settings import Settings
from serving.times import wall_text

Tell = Callable[[str], None]


@dataclass(kw_only=True)
class Findings:
    """What is wrong, and what a repair does about it.

    Parameters
    ----------
    removed : list of Removed
        Damaged ends of partitions.
    beyond : list of Beyond
        Positions and landed offsets that the log does not reach.
    before_ns : int or None
        From this append time on the log is not whole.
    cuts : list of Cut
        What has to go from the log so that the rest fits together.
    excess : list of Excess
        What has to go from ClickHouse and the lake.
    """

    removed: list[Removed]
    beyond: list[Beyond]
    before_ns: int | None = None
    cuts: list[Cut] = field(default_factory=list)
    excess: list[Excess] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For a person."""
        told = [str(one) for one in (*self.removed, *self.beyond)]
        if self.cuts:
            told.append(
                f"the log is whole before {wall_text(self.before_ns)} UTC; to be removed from there on, since it "
                "was committed with lost records, or made of them:"
            )
            told += [f"  {one}" for one in self.cuts]
        if self.excess:
            told.append(
                "to be removed from the sinks, and landed again where the log still has it:"
            )
            told += [f"  {one}" for one in self.excess]
        return told


def repair(settings: Settings, *, yes: bool, tell: Tell) -> bool:
    """Say what a log has lost, and mend it where ``yes``.

    Parameters
    ----------
    settings : Settings
        Log, store, lake.
    yes : bool
        Whether to change anything.
    tell : callable
        Given one line after the other.

    Returns
    -------
    bool
        Whether there was something to mend.

    Raises
    ------
    LogError
        Where the log is in use, or cannot be mended.
    """
    if settings.log.startswith("sqlite:"):
        with drafted(settings.log) as draft:
            found = _mend_draft(settings, draft, yes=yes, tell=tell)
        if found and yes:
            with open_log(settings.log) as log:
                record_mended(log)
            tell(
                "feeds go on where they now stand: feed their files again; start the rest as usual"
            )
        return found
    with open_log(settings.log) as log, _sinks(settings) as link:
        return mend_sinks(settings, log, link, yes=yes, tell=tell)


def mend_sinks(settings: Settings, log: Log, link: StoreLink, *, yes: bool, tell: Tell) -> bool:
    """What can be mended of a log that cuts no partition at its end: ClickHouse and the lake.

    Returns
    -------
    bool
        Whether there was something to mend.

    Raises
    ------
    LogError
        Where what is wrong cannot be mended so; nothing was changed then.
    LandingError
        Where a lander is at work.
    """
    lake = settings.lake_path
    stored = stored_beyond(log)
    landed = sinks_beyond(log, link, lake, TOPICS.values())
    flows = [one for one in stored if not one.who.startswith("the lander")]
    if not (stored or landed or read_state(log).mending):
        tell("nothing to mend")
        return False
    found = Findings(removed=[], beyond=[*stored, *landed])
    if not flows:
        found.excess = excesses(log, link, lake, TOPICS.values())
    for line in found.lines():
        tell(line)
    if flows or not all(_is_removed(one, found.excess) for one in landed):
        raise LogError(
            f"log {log.url}: Kafka cuts no partition at its end, so what was made of lost records, and landed "
            "where others have their offsets now, cannot be taken back. Bring back the broker's newest files or a "
            "replica; or name a new home, feed the files again, and keep this one's lake as it is for what came "
            "live (`lake:///…` reads as a log)"
        )
    if not yes:
        tell("nothing was changed: --yes does it")
        return True
    # A lander at work would go on from positions that are past.
    with sole_lander(lake):
        record_mending(log)
        remove_excess(link, lake, found.excess)
        record_mended(log)
    tell("mended: start the programs as usual")
    return True


def _mend_draft(settings: Settings, draft: Draft, *, yes: bool, tell: Tell) -> bool:
    with _sinks(settings) as link:
        found = _find(settings, draft.url, draft.removed, link)
        if found is None and not draft.damaged:
            tell("nothing to mend")
            return False
        if found is None:
            found = Findings(removed=[], beyond=[])
            tell(
                "the file is damaged outside of its records: a copy without the damage takes its place"
            )
        for line in found.lines():
            tell(line)
        if not yes:
            tell("nothing was changed: --yes does it")
            return True
        number_writers(draft.url)
        with open_log(draft.url) as log:
            record_mending(log)
        kept = put_in_place(settings.log, draft)
        tell(f"mended; the old file is {kept}")
        remove_excess(link, settings.lake_path, found.excess)
    return True


def _find(settings: Settings, url: str, removed: list[Removed], link: StoreLink) -> Findings | None:
    """What is wrong with a draft, which is cut on the way; None where nothing is."""
    holes: dict[Place, int] = {
        (one.topic, one.partition): one.first
        for one in removed
        if one.topic and not one.is_beginning
    }
    with open_log(url) as log:
        stored = stored_beyond(log)
        beyond = [*stored, *sinks_beyond(log, link, settings.lake_path, TOPICS.values())]
        holes |= _holes(stored)
        if not (removed or beyond or read_state(log).mending):
            return None
        found = Findings(removed=removed, beyond=beyond)
    _cut_whole(url, holes, found)
    with open_log(url) as log:
        found.excess = excesses(log, link, settings.lake_path, TOPICS.values())
    return found


def _cut_whole(url: str, holes: dict[Place, int], found: Findings) -> None:
    """Cut a draft until no flow stands beyond what is left.

    Once is enough as long as the clock went forwards. Where it stepped back, what was made of records that went may
    have an earlier append time than they had.
    """
    while holes:
        with open_log(url) as log:
            before_ns = whole_before_ns(log, holes, _writers())
        if before_ns is None:
            return
        found.before_ns = before_ns
        cuts = cut_from(url, before_ns)
        if not cuts:
            # No cut by time reaches who stands beyond even so; it will say so when it is started.
            return
        found.cuts += cuts
        with open_log(url) as log:
            holes = _holes(
                one for one in stored_beyond(log) if not one.who.startswith("the lander")
            )


def _holes(stored: Iterable[Beyond]) -> dict[Place, int]:
    """The first offsets that are gone; where others have taken them, none tells which they were."""
    return {(one.topic, one.partition): one.end for one in stored if one.position > one.end}


def _is_removed(one: Beyond, excess: Sequence[Excess]) -> bool:
    """Whether a sink's newest row is among what is removed."""
    return any(
        (each.topic, each.partition) == (one.topic, one.partition) and each.before < one.position
        for each in excess
    )


@contextmanager
def _sinks(settings: Settings) -> Iterator[StoreLink]:
    with StoreLink(settings.store) as link:
        link.run(create_tables)
        yield link


def _writers() -> dict[str, list[str]]:
    """Topic to the flows that write it."""
    found: dict[str, list[str]] = {}
    for name, kind in catalog().items():
        for topic in kind.outputs:
            found.setdefault(topic.name, []).append(name)
    return found
