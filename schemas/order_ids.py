"""Identifiers of orders: the same question always gets the same one."""

import base64
import hashlib


def order_id_of(account: str, client_order_id: str) -> str:
    """Identifier of the order that an account's client calls so.

    Parameters
    ----------
    account, client_order_id : str
        A client order id is accepted once an account, so that the pair names one order.

    Returns
    -------
    str
        20 lower-case letters and digits: 100 bits of SHA-256 in base 32. A retry of the same request has it
        too, without anybody remembering.
    """
    digest = hashlib.sha256(f"{account}\0{client_order_id}".encode()).digest()
    return base64.b32encode(digest).decode()[:20].lower()
