"""A chaos run: rounds on both logs, the undisturbed runs beside them, and the verdict."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from flows.catalog import catalog
from infra.kafka.broker import running_broker
from tests.end_to_end.chaos import checks
from tests.end_to_end.chaos.director import Director, Toll
from tests.end_to_end.chaos.plan import Kill, make_plans
from tests.end_to_end.chaos.world import FEW_FLOWS, ForeignProducer, Ticks, World

_ALL_FLOWS = (tuple(catalog())[::2], tuple(catalog())[1::2])
# So often each point strikes in the long version.
POINTS_LEAST = 5
_SESSION_S = 6.5 * 3600
# Slow enough that rows flow for as long as there is something to kill; what is left then, comes at once.
_FEED_S_A_KILL = 10.0
_MESSAGES = 240
_BAD = 12


@dataclass
class Undisturbed:
    """What the files and messages give where nothing is killed; empty until a run of `Chaos` needs it.

    It hangs on neither seed nor log: runs of the same files and flows may share it.
    """

    digests: dict[str, str] = field(default_factory=dict)
    receipts: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Chaos:
    """A run from one seed.

    Parameters
    ----------
    seed : int
        Of all that is drawn.
    ticks : Ticks
        What is fed.
    folder : Path
        Where the worlds are.
    tell : callable
        Told one line a kill.
    few : bool
        Whether `FEW_FLOWS` run on SQLite too, or all.
    undisturbed : Undisturbed
        Made at the first check, unless an earlier run of the same files and flows has made it.
    """

    seed: int
    ticks: Ticks
    folder: Path
    tell: Callable[[str], None] = lambda _: None
    few: bool = True
    tolls: list[Toll] = field(default_factory=list)
    worlds: list[World] = field(default_factory=list)
    undisturbed: Undisturbed = field(default_factory=Undisturbed)

    def run(self, logs: Sequence[str], kills: int, *, short: bool) -> None:
        """All rounds.

        Raises
        ------
        ChaosError
            Where something was lost or doubled, or a program ended by itself.
        """
        random = Random(self.seed)
        least = 0 if short else -(-POINTS_LEAST // len(logs))
        for at, log in enumerate(logs):
            # The short version checks one way on each log: receipts on SQLite, the clock on Kafka.
            with_live = (log == "kafka",) if short else (True, False)
            share = kills // len(logs) + (at < kills % len(logs))
            plans = make_plans(random, share, log, least=least, with_live=with_live)
            for live, plan in zip(with_live, plans, strict=True):
                self.round(log, plan, live=live, seed=random.randrange(1 << 32))

    def round(self, log: str, plan: list[Kill], *, live: bool, seed: int, broken: str = "") -> None:
        """One world, its kills, and what must hold at the end."""
        self.tell(f"{log}, {len(plan)} kills, {'clock and live source' if live else 'no clock'}")
        home = Path(tempfile.mkdtemp(prefix=f"{log}-", dir=self.folder))
        with ExitStack() as stack:
            broker, url = None, ""
            if log == "kafka":
                broker = stack.enter_context(running_broker())
                url = f"kafka://{broker.address}"
            world = World(home=home, log_url=url, broken=broken)
            flows = FEW_FLOWS if broker or self.few else _ALL_FLOWS
            foreign = ForeignProducer(world.log_url, _MESSAGES, bad=_BAD if live else 0)
            director = Director(
                world,
                self.ticks,
                plan,
                flows=flows,
                seed=seed,
                live=live,
                speed=_SESSION_S / (_FEED_S_A_KILL * len(plan)),
                foreign=foreign,
                broker=broker,
                ts_recv="wall" if live else "event",
                tell=self.tell,
            )
            self.tolls.append(director.toll)
            self.worlds.append(world)
            director.run()
            self._check(world, foreign, [*flows[0], *flows[1]], live=live)

    def kills(self) -> Counter[tuple[str, str]]:
        """Kills by target and point, over all rounds."""
        return sum((toll.kills for toll in self.tolls), Counter())

    def check_receipts(self, world: World, flows: Sequence[str]) -> None:
        """Raw and derived topics are those of an undisturbed run."""
        self._run_undisturbed()
        checks.check_receipts(world, self.undisturbed.receipts, flows)

    def _check(
        self, world: World, foreign: ForeignProducer, flows: Sequence[str], *, live: bool
    ) -> None:
        self._run_undisturbed()
        checks.check_raw(world, self.ticks, foreign, self.undisturbed.digests)
        checks.check_audit(world)
        checks.check_replay(world)
        if not live:
            self.check_receipts(world, flows)
        self.tell("      nothing lost, nothing doubled")

    def _run_undisturbed(self) -> None:
        """The same files and messages, fed and computed once, with nothing killed."""
        if self.undisturbed.digests:
            return
        world = World(home=self.folder / "undisturbed")
        foreign = ForeignProducer(world.log_url, _MESSAGES)
        foreign.send(_MESSAGES)
        flows = [name for part in (FEW_FLOWS if self.few else _ALL_FLOWS) for name in part]
        feed = [*self.ticks.arguments, "--ts-recv", "event"]
        for arguments in (feed, ["run", *flows, "--until-end"]):
            done = world.run(arguments)
            assert done.returncode == 0, done.stderr
        self.undisturbed.digests = checks.digests_of_files(world)
        self.undisturbed.receipts = checks.receipts(world, flows)
