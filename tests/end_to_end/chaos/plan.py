"""Which kills a run makes, drawn from a seed: named crash points, and moments at random."""

from collections import Counter
from dataclasses import dataclass
from random import Random

FEED = "feed"
LIVE = "live"
FLOWS_ONE = "flows of one worker"
FLOWS_TWO = "flows of the other worker"
ALL_FLOWS = "flows of all workers"
LANDER = "lander"
STORE = "store"
CLOCK = "clock"
GROUP = "the whole group"
BROKER = "Kafka broker"

# Point to the largest pass at which it may strike: so often a program passes it in about two seconds.
_SHARD = {
    "shard: outputs prepared": 25,
    "shard: committed": 25,
    "snapshot: between chunks": 4,
    "snapshot: chunks appended": 3,
    "snapshot: manifest appended": 3,
}
_FEED = {"feed: before commit": 12, "feed: committed": 12}
_LANDER = {
    "clickhouse: intents recorded": 12,
    "clickhouse: written": 20,
    "lake: intents recorded": 2,
    "lake: file written": 15,
    "lake: file renamed": 15,
    "lake: written": 6,
    "landings: checkpoint recorded": 2,
    "compaction: before swap": 2,
    "compaction: after swap": 2,
}
_STORE = {"store: insert received": 12, "store: inserted": 12}
_CLOCK = {"clock: before commit": 2, "clock: committed": 2}
_LOG = {
    "sqlite": {"sqlite: before COMMIT": 60, "sqlite: committed": 60},
    "kafka": {"kafka: records sent": 40, "kafka: committed": 40},
}
# Programs that write the log: the log's own points strike them in turn.
_WRITERS = (FEED, FLOWS_ONE, LANDER, FLOWS_TWO)


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill: of a target, at the n-th pass of a point, or after so long."""

    target: str
    point: str = ""
    nth: int = 0
    after_s: float = 0.0

    @property
    def what(self) -> str:
        """In the table."""
        return self.point or "any moment"


def make_plans(
    random: Random,
    kills: int,
    log: str,
    *,
    least: int = 0,
    with_live: tuple[bool, ...] = (True, False),
) -> list[list[Kill]]:
    """The kills of some rounds on one log: each point at least so often, the rest at random moments.

    Parameters
    ----------
    random : random.Random
        Seeded.
    kills : int
        How many over all rounds; more where ``least`` needs more.
    log : str
        ``sqlite`` or ``kafka``.
    least : int
        How often each point strikes; 0 for once each, as far as a half of the kills goes.
    with_live : tuple of bool
        For each round, whether a live source and the clock take part.

    Returns
    -------
    list of list of Kill
        The kills of each round, in random order.
    """
    plans: list[list[Kill]] = [[] for _ in with_live]
    live = [plan for plan, one in zip(plans, with_live, strict=True) if one]
    points = _points(random, log, least or 1, live=bool(live))
    if not least:
        points = points[: kills // 2]
    for at, (target, point, most) in enumerate(points):
        among = live if target in {LIVE, CLOCK} else plans
        among[at % len(among)].append(Kill(target=target, point=point, nth=random.randint(1, most)))
    targets = [FEED, FLOWS_ONE, FLOWS_TWO, ALL_FLOWS, LANDER, STORE, GROUP]
    targets += [LIVE, CLOCK] if live else []
    targets += [BROKER] if log == "kafka" else []
    random.shuffle(targets)
    for at in range(max(kills - len(points), 0)):
        target = targets[at % len(targets)]
        among = live if target in {LIVE, CLOCK} else plans
        among[at % len(among)].append(Kill(target=target, after_s=random.uniform(0.0, 1.5)))
    for plan in plans:
        random.shuffle(plan)
    return plans


def _points(random: Random, log: str, times: int, *, live: bool) -> list[tuple[str, str, int]]:
    """Target, point and largest pass: every point so often (those of one log alone in full)."""
    found = []
    for at in range(times):
        turn = [
            *((random.choice((FLOWS_ONE, FLOWS_TWO)), *one) for one in _SHARD.items()),
            *((FEED, *one) for one in _FEED.items()),
            *((LANDER, *one) for one in _LANDER.items()),
            *((STORE, *one) for one in _STORE.items()),
            *((CLOCK, *one) for one in _CLOCK.items() if live),
            *((_WRITERS[at % len(_WRITERS)], *one) for one in _LOG[log].items()),
        ]
        random.shuffle(turn)
        found += turn
    return found


def table(done: Counter[tuple[str, str]]) -> str:
    """How often each target was killed at which point, as text."""
    lines = [f"{'target':<28}{'point':<34}{'kills':>6}"]
    lines += [f"{target:<28}{what:<34}{count:>6}" for (target, what), count in sorted(done.items())]
    lines.append(f"{'':<28}{'in all':<34}{done.total():>6}")
    return "\n".join(lines)
