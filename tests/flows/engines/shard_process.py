"""A process with one shard of a test's flow, told what to do by lines on standard input.

``step`` until something was read, ``die POINT`` in doing so, or ``close``.
"""

import sys
import time

from connectors.crash_points import arm
from connectors.log import LogError, open_log
from flows.engines.shard import Shard, ShardOptions
from tests.flows.engines.test_shard import Every, StepParams


def named(name: str) -> type[Every]:
    """The flow under a name of the test's own: a log knows the last commit of a name for ever."""
    return type("Named", (Every,), {"name": name})


def main() -> int:
    """Open the shard of a flow on a log, both named by arguments; 3 where an error of the log stops it."""
    url, flow = sys.argv[1:]
    with open_log(url) as log:
        shard = Shard(log, named(flow), StepParams(), 0, ShardOptions())
        shard.open()
        print("opened", flush=True)  # noqa: T201 - this is how it answers
        for line in sys.stdin:
            word, _, point = line.strip().partition(" ")
            if word == "die":
                arm(point, 1)
            try:
                if word == "close":
                    shard.close()
                    return 0
                while not shard.step():
                    # What another process appended comes with the next fetch (Kafka).
                    time.sleep(0.01)
            except LogError as error:
                print(f"{type(error).__name__}: {error}", flush=True)  # noqa: T201
                return 3
            print("stepped", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
