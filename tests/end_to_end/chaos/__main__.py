"""``make chaos``: at least 200 kills over both logs, a table of them, and the verdict."""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.chaos.director import ChaosError
from tests.end_to_end.chaos.plan import table
from tests.end_to_end.chaos.rounds import Chaos
from tests.end_to_end.chaos.world import Ticks

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
_LOGS = {"sqlite": ("sqlite",), "kafka": ("kafka",), "both": ("sqlite", "kafka")}


def main() -> int:
    """Run it; 0 where nothing was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="How many, over all rounds.")
    parser.add_argument("--log", choices=_LOGS, default="both")
    parser.add_argument("--seed", type=int, default=None, help="Same seed, same plan of kills.")
    parser.add_argument("--short", action="store_true", help="One round a log, as in `make test`.")
    parser.add_argument("--keep", action="store_true", help="Keep the folders where it fails.")
    asked = parser.parse_args()
    given = os.environ.get("TAPEFLOW_CHAOS_SEED")
    seed = asked.seed if asked.seed is not None else int(given or secrets.randbelow(1 << 32))
    if not SHARED.is_dir():
        sys.exit(f"chaos: no market data: {SHARED.parent} is absent; put it beside the checkout")
    print(f"chaos: seed {seed} (again: --seed {seed})", flush=True)
    begun_s = time.monotonic()
    with _folder(keep=asked.keep) as folder:
        ticks = Ticks.of(SHARED, long=not asked.short)
        chaos = Chaos(
            seed=seed,
            few=asked.short,
            ticks=ticks,
            folder=Path(folder),
            tell=lambda line: print(line, flush=True),
        )
        try:
            chaos.run(_LOGS[asked.log], asked.kills, short=asked.short)
        except ChaosError as error:
            print(table(chaos.kills()))
            print(f"FAILED with seed {seed}: {error}")
            if asked.keep:
                print(f"kept: {folder}")
            return 1
    print(table(chaos.kills()))
    for toll in chaos.tolls:
        for kill in toll.missed:
            print(f"never passed: {kill.target}: {kill.point}")
    print(
        f"passed with seed {seed}: {chaos.kills().total()} kills in {time.monotonic() - begun_s:.0f} s, "
        "nothing lost, nothing doubled"
    )
    return 0


@contextmanager
def _folder(*, keep: bool) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="tapeflow-chaos-")
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
