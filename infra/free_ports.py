"""Ports of loopback for servers that are started by hand or by tests."""

import socket
from secrets import SystemRandom

# Below those that the system gives to outgoing connections: one of these would have it when the server starts, or starts
# again. At random, so that two who look at the same time find different ones; tests seed `random` alike.
_PORTS = range(15_000, 32_000)
_CHOICE = SystemRandom()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at.

    Parameters
    ----------
    count : int
        How many.

    Raises
    ------
    OSError
        Where there are not so many.
    """
    found: list[int] = []
    for port in _CHOICE.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise OSError(f"no {count} free ports from {_PORTS[0]} to {_PORTS[-1]} at 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
