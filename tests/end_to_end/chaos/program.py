"""A verb of the command line in small sizes, so that a second of it passes every crash point often.

``python -m tests.end_to_end.chaos.program run bars`` is ``tapeflow run bars`` with snapshots after some
thousand rows, chunks of some kilobytes, compaction of a few files. Sizes change nothing that is emitted.

With ``CHAOS_BREAK=emit-again`` recovery is broken on purpose: what is computed again is emitted again. The
product has no such switch; it is patched here, for the test that the checks see it.
"""

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

BREAK = "CHAOS_BREAK"
EMIT_AGAIN = "emit-again"

_SIZES = {
    "flows.engines.snapshots": {"_CHUNK_BYTES": 4_096, "_CHUNKS_AT_ONCE": 1},
    "connectors.landings": {"CHECKPOINT_EVERY": 40},
    "connectors.lander": {"_STEP_ROWS": 4_000},
    "connectors.lake_compaction": {"FILES_MIN": 3},
    "connectors.feeds.program": {"_COMMIT_ROWS": 2_000},
    "connectors.clock": {"_KEEP_NS": 1_000_000_000},
}
_PR_SET_PDEATHSIG = 1
_SHARD_OPTIONS = {"snapshot_rows": 1_000, "read_bytes": 200_000}


def main() -> None:
    """Run a verb."""
    verb = sys.argv[1]
    _die_with_parent()
    _make_small(verb)
    if os.environ.pop(BREAK, "") == EMIT_AGAIN:
        _emit_again()
    from serving.cli import main as tapeflow  # noqa: PLC0415 - behind what changes it

    sys.argv[0] = "tapeflow"
    tapeflow()


def _die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it has ended, however it did."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _make_small(verb: str) -> None:
    wanted = {
        "run": ["flows.engines.snapshots"],
        "land": ["connectors.landings", "connectors.lander", "connectors.lake_compaction"],
        "feed": ["connectors.feeds.program"],
        "clock": ["connectors.clock"],
    }
    for name in wanted.get(verb, []):
        module = importlib.import_module(name)
        for constant, value in _SIZES[name].items():
            # A constant that was renamed must not go on at its full size unseen.
            assert hasattr(module, constant), f"{name} has no {constant} any more"
            setattr(module, constant, value)
    if verb == "run":
        from flows.engines.shard import ShardOptions  # noqa: PLC0415 - only flows need it

        defaults = ShardOptions.__init__.__kwdefaults__
        assert defaults is not None
        for option, value in _SHARD_OPTIONS.items():
            assert option in defaults, f"ShardOptions has no {option} any more"
            defaults[option] = value


def _emit_again() -> None:
    from flows.engines import recovery, shard  # noqa: PLC0415 - only where it is to be broken
    from flows.engines.stepper import Stepper  # noqa: PLC0415

    emitted: list[Any] = []

    def computed_again(stepper: Stepper, segments: Iterable[Any]) -> int:
        rows = 0
        for segment in segments:
            emitted.append(stepper.take(segment))
            rows += segment.length
        return rows

    take_over = shard.Shard._take_over

    def take_over_and_emit(self: shard.Shard, recovered: Any) -> None:
        take_over(self, recovered)
        for emits in emitted:
            self._outbox.put(emits)
        emitted.clear()

    recovery._computed_again = computed_again
    shard.Shard._take_over = take_over_and_emit


if __name__ == "__main__":
    main()
