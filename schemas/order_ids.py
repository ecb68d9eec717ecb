"""Identifiers of orders: the same question always gets the same one."""

import hashlib
from itertools import product

# RFC 4648 base 32 in lower case, two letters (10 bits) at a time: a third of the time of base64.b32encode.
_PAIRS = ["".join(pair) for pair in product("abcdefghijklmnopqrstuvwxyz234567", repeat=2)]


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
