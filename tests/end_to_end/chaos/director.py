"""Starts the programs of a world, kills them by a plan, starts them again, and brings all to its end."""

import os
import random
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.kafka.broker import Broker
from tests.end_to_end.chaos import plan as names
from tests.end_to_end.chaos.plan import Kill
from tests.end_to_end.chaos.world import ForeignProducer, Program, Ticks, World

_LOOK_S = 0.02
# Where a point was not passed by then, on idle cores, the program is killed as it is and tried again.
_PATIENCE_S = 10.0
_TRIES = 3
# A program that ends by itself so long after its store or broker was killed has said why; else it is a fault.
_SHAKEN_S = 45.0
# And so often in a row at most, be its store or broker away or slow to come back.
_ENDS_MAX = 8
_END_S = 120.0
_SEND_EVERY_S = 1.5


class ChaosError(AssertionError):
    """What must not happen, with the seed to see it again."""


@dataclass(kw_only=True)
class Toll:
    """What a round did.

    Parameters
    ----------
    kills : Counter
        Kills by target and point.
    missed : list of Kill
        Points that were never passed, however often they were tried.
    ended : list of str
        Programs that ended with an error while their store or broker was away, with their last words.
    """

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[Kill] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class _Life:
    """A program that is to be alive, and what is to end it next."""

    program: Program
    kills: deque[Kill] = field(default_factory=deque)
    armed: Kill | None = None
    strike_s: float = 0.0
    started_s: float = 0.0
    done: bool = False
    wanted: bool = False
    ends: int = 0


class Director:
    """Carries out the kills of a round.

    Parameters
    ----------
    world : World
        Whose programs.
    ticks : Ticks
        What is fed.
    flows : tuple of tuple of str
        Flows of the one worker process, and of the other.
    plan : list of Kill
        What is killed when.
    seed : int
        For what is drawn on the way.
    live : bool
        Whether a live source and the clock run too.
    speed : float
        Multiple of real time at which the files are fed.
    broker : Broker or None
        Of a log on Kafka.
    foreign : ForeignProducer
        Who writes to the inbox.
    tell : callable
        Told one line a kill.
    """

    def __init__(
        self,
        world: World,
        ticks: Ticks,
        plan: list[Kill],
        *,
        flows: tuple[tuple[str, ...], tuple[str, ...]],
        seed: int,
        live: bool,
        speed: float,
        foreign: ForeignProducer,
        broker: Broker | None = None,
        ts_recv: str = "wall",
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.toll = Toll()
        self._world = world
        self._random = random.Random(seed)
        self._broker = broker
        self._foreign = foreign
        self._tell = tell
        self._shaken_s = 0.0
        self._sent_s = 0.0
        self._tries: Counter[Kill] = Counter()
        self._feed = [*ticks.arguments, "--ts-recv", ts_recv]
        one, other = flows
        self._flows = [*one, *other]
        programs = {
            names.STORE: ["store"],
            names.FLOWS_ONE: ["run", *one],
            names.FLOWS_TWO: ["run", *other],
            names.LANDER: ["land"],
            names.FEED: [*self._feed, "--speed", str(speed)],
        }
        if live:
            programs[names.CLOCK] = ["clock"]
            programs[names.LIVE] = ["simulate", "--live", "--rate", "300", "--symbols", "90"]
        self._lives = {
            name: _Life(program=Program(name=name, arguments=arguments))
            for name, arguments in programs.items()
        }
        self._wide: deque[Kill] = deque()
        for kill in plan:
            self._of(kill).append(kill)
        self._wide_s = 0.0

    def run(self) -> None:
        """Carry out the plan, then bring everything to its end, undisturbed.

        Raises
        ------
        ChaosError
            Where a program ended by itself, or does not come to its end.
        """
        try:
            for life in self._lives.values():
                self._start(life)
            self._draw_wide()
            while self._lives_left():
                self._look()
                time.sleep(_LOOK_S)
            self._finish()
        finally:
            self._world.kill()

    def _of(self, kill: Kill) -> deque[Kill]:
        if kill.target in self._lives:
            return self._lives[kill.target].kills
        return self._wide

    def _lives_left(self) -> bool:
        return bool(self._wide) or any(
            life.kills or life.armed is not None for life in self._lives.values()
        )

    def _start(self, life: _Life) -> None:
        life.program.process = None
        if life.program.name == names.LANDER and not self._world.store_answers():
            # As `tapeflow up` does: a lander without a store would serve it by itself.
            life.wanted = True
            return
        life.wanted = False
        life.armed = life.kills.popleft() if life.kills else None
        crash_at = ""
        life.started_s = time.monotonic()
        if life.armed is not None and life.armed.point:
            crash_at = f"{life.armed.point}:{life.armed.nth}"
            life.strike_s = life.started_s + _PATIENCE_S * _crowd()
        elif life.armed is not None:
            life.strike_s = life.started_s + 0.3 + life.armed.after_s
        if life.program.name in {names.FLOWS_ONE, names.FLOWS_TWO}:
            # Threads of one process: one, or as many as there are cores.
            workers = self._random.choice(("1", "2"))
            arguments = [one for one in life.program.arguments if not one.startswith("--workers")]
            life.program.arguments = [*arguments, f"--workers={workers}"]
        self._world.start(life.program, crash_at)

    def _look(self) -> None:
        """See who has died and start them again, and kill who is due."""
        now = time.monotonic()
        for life in self._lives.values():
            if life.done:
                continue
            if life.wanted:
                self._start(life)
                continue
            assert life.program.process is not None
            status = life.program.process.poll()
            if status is not None:
                self._ended(life, status)
            elif life.armed is not None and now >= life.strike_s:
                self._strike(life)
        if self._wide and now >= self._wide_s:
            self._strike_wide(self._wide.popleft())
            self._draw_wide()
        if self._foreign.left and now - self._sent_s >= _SEND_EVERY_S:
            self._foreign.send(20)
            self._sent_s = time.monotonic()

    def _ended(self, life: _Life, status: int) -> None:
        if status == -signal.SIGKILL:
            assert life.armed is not None, f"{life.program.name} was killed, and not by us"
            self._count(life.program.name, life.armed)
            life.ends = 0
            self._start(life)
        elif life.program.name == names.FEED and self._is_fed(life, status):
            self._fed(life)
        elif life.ends < _ENDS_MAX and time.monotonic() - self._shaken_s < _SHAKEN_S * _crowd():
            life.ends += 1
            self._note_end(life, status)
            time.sleep(0.1)
            again, life.armed = life.armed, None
            if again is not None:
                life.kills.appendleft(again)
            self._start(life)
        else:
            words = self._world.last_words(life.program)
            raise ChaosError(f"{life.program.name} ended by itself with {status}: {words}")

    def _is_fed(self, life: _Life, status: int) -> bool:
        """Whether a feed came to its end; where it was killed behind its last commit, it says so."""
        return status == 0 or "fed already" in self._world.last_words(life.program)

    def _fed(self, life: _Life) -> None:
        """All files are fed: what was planned for their feed has come too late."""
        life.done = True
        late = [*([life.armed] if life.armed else []), *life.kills]
        life.armed, life.kills = None, deque()
        live = self._lives.get(names.LIVE)
        if live is not None:
            live.kills.extend(late)
        else:
            self.toll.missed += late

    def _strike(self, life: _Life) -> None:
        """Kill a program whose time has come, whatever it was to be killed at."""
        assert life.program.process is not None
        assert life.armed is not None
        kill, life.armed = life.armed, None
        life.program.process.kill()
        life.program.process.wait()
        if kill.point:
            self._tries[kill] += 1
            if self._tries[kill] < _TRIES:
                again = Kill(target=kill.target, point=kill.point, nth=1)
                self._tries[again] = self._tries[kill]
                life.kills.append(again)
            else:
                self.toll.missed.append(kill)
            self._tell(f"      {kill.target} did not come to pass {kill.nth} of {kill.point}")
        self._count(life.program.name, Kill(target=life.program.name))
        self._start(life)

    def _strike_wide(self, kill: Kill) -> None:
        """Kill several at once, or the broker."""
        if kill.target == names.BROKER:
            assert self._broker is not None
            self._broker.kill()
            self._shaken_s = time.monotonic()
            self._count(kill.target, kill)
            time.sleep(self._random.uniform(0.0, 1.0))
            self._broker.start()
            self._shaken_s = time.monotonic()
            return
        flows = {names.FLOWS_ONE, names.FLOWS_TWO}
        hit = [
            life
            for name, life in self._lives.items()
            if not life.done and not life.wanted and (kill.target == names.GROUP or name in flows)
        ]
        for life in hit:
            assert life.program.process is not None
            life.program.process.kill()
        self._count(kill.target, kill)
        for life in hit:
            assert life.program.process is not None
            life.program.process.wait()
            if life.armed is not None:
                # It was not struck by its own: that comes next.
                life.kills.appendleft(life.armed)
            self._start(life)

    def _draw_wide(self) -> None:
        if self._wide:
            self._wide_s = time.monotonic() + 1.0 + self._wide[0].after_s * 2

    def _count(self, target: str, kill: Kill) -> None:
        self.toll.kills[target, kill.what] += 1
        if target in {names.STORE, names.GROUP}:
            self._shaken_s = time.monotonic()
        at = f" at pass {kill.nth}" if kill.point else ""
        self._tell(f"{self.toll.kills.total():>4}  {target}: {kill.what}{at}")

    def _note_end(self, life: _Life, status: int) -> None:
        words = self._world.last_words(life.program).splitlines()
        told = f"{life.program.name} ended with {status}: {words[-1] if words else ''}"
        self.toll.ended.append(told)
        self._tell(f"      {told}")

    def _finish(self) -> None:
        """The last restart: feed what is left, stop in order, run and land to the end."""
        while self._foreign.left:
            self._foreign.send(self._foreign.left)
        feed = self._lives[names.FEED]
        if not feed.done:
            assert feed.program.process is not None
            feed.program.process.kill()
            feed.program.process.wait()
            self._must(self._feed, or_says="fed already")
        for name, status in self._world.stop(_END_S * _crowd()).items():
            # One that has only just been started ends at once, before it listens to what it is told.
            if status not in {0, -signal.SIGTERM}:
                words = next(
                    self._world.last_words(one) for one in self._world.programs if one.name == name
                )
                raise ChaosError(f"{name}, told to stop, ended with {status}: {words}")
        self._must(["run", *self._flows, "--until-end"])
        self._must(["land", "--until-end"])

    def _must(self, arguments: list[str], *, or_says: str = "") -> None:
        try:
            done = self._world.run(arguments, timeout_s=_END_S * _crowd())
        except subprocess.TimeoutExpired as error:
            raise ChaosError(f"{arguments[0]} did not come to its end in {_END_S} s") from error
        if done.returncode and not (or_says and or_says in done.stderr):
            raise ChaosError(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-800:]}")


def _crowd() -> float:
    """How many times slower all goes on this machine than if it were idle; at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
