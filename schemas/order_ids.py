"""Identifiers of orders: the same question always gets the same one."""

import hashlib
from collections.abc import Iterable
from itertools import product

import numpy as np

# RFC 4648 base 32 in lower case, two letters (10 bits) at a time: a third of the time of base64.b32encode.
_PAIRS = ["".join(pair) for pair in product("abcdefghijklmnopqrstuvwxyz234567", repeat=2)]

EXIT_SUFFIXES = ("-tp", "-sl")
"""Of identifiers of a bracket's or OCO's exits, behind the order's own: take profit, and stop loss."""

_BASE32 = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", dtype=np.uint8)
_WEIGHTS = np.array([16, 8, 4, 2, 1], dtype=np.uint8)
_LETTERS = 20
_BYTES = 13  # of a digest: its first 100 bits are in them


def order_id_of(account: str, client_order_id: str) -> str:
    """Identifier of the order that an account's client calls so.

    Parameters
    ----------
    account, client_order_id : str
        A client order id is accepted once an account, so that the pair names one order.

    Returns
    -------
    str
        20 lower-case letters and digits: the first 100 bits of SHA-256 in base 32. A retry of the same request
        has it too, without anybody remembering.

    Examples
    --------
    >>> order_id_of("desk-1", "my order")
    '43dkpsghvjglfqd5qtss'
    """
    digest = hashlib.sha256(f"{account}\0{client_order_id}".encode()).digest()
    bits = int.from_bytes(digest[:13], "big") >> 4
    return (
        _PAIRS[bits >> 90]
        + _PAIRS[bits >> 80 & 1023]
        + _PAIRS[bits >> 70 & 1023]
        + _PAIRS[bits >> 60 & 1023]
        + _PAIRS[bits >> 50 & 1023]
        + _PAIRS[bits >> 40 & 1023]
        + _PAIRS[bits >> 30 & 1023]
        + _PAIRS[bits >> 20 & 1023]
        + _PAIRS[bits >> 10 & 1023]
        + _PAIRS[bits & 1023]
    )


def order_ids_of(accounts: Iterable[str], client_order_ids: Iterable[str]) -> list[str]:
    """`order_id_of` of many orders, as columns.

    Parameters
    ----------
    accounts, client_order_ids : iterable of str
        Of the same length, n.

    Returns
    -------
    list of str
        n identifiers.
    """
    sha256 = hashlib.sha256
    # A list, and whole digests: a generator and a slice an order take a seventh longer.
    digests = b"".join(
        [
            sha256(f"{account}\0{client}".encode()).digest()
            for account, client in zip(accounts, client_order_ids, strict=True)
        ]
    )
    used = np.frombuffer(digests, dtype=np.uint8).reshape(-1, sha256().digest_size)[:, :_BYTES]
    bits = np.unpackbits(used, axis=1)
    fives = bits[:, : 5 * _LETTERS].reshape(-1, _LETTERS, 5)
    text = _BASE32[fives @ _WEIGHTS].tobytes().decode()
    return [text[at : at + _LETTERS] for at in range(0, len(text), _LETTERS)]


def other_exit(order_id: str, parent_order_id: str | None) -> str | None:
    """Identifier of the exit that shares one quantity with an exit.

    Parameters
    ----------
    order_id, parent_order_id : str, str or None
        Of an order.

    Returns
    -------
    str or None
        None where the order is no exit.

    Examples
    --------
    >>> other_exit("43dkpsghvjglfqd5qtss-tp2", "43dkpsghvjglfqd5qtss")
    '43dkpsghvjglfqd5qtss-sl2'
    """
    if parent_order_id is None or not order_id.startswith(parent_order_id):
        return None
    profit, loss = EXIT_SUFFIXES
    tail = order_id[len(parent_order_id) :]
    for own, other in ((profit, loss), (loss, profit)):
        if tail.startswith(own):
            return f"{parent_order_id}{other}{tail[len(own) :]}"
    return None
