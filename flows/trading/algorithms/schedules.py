"""How an order's quantity is spread over time: pure functions from a plan's shares to exact quantities."""

import math
from collections.abc import Sequence
from hashlib import sha256

# Of the hash that jitter is drawn from; more than a float64 has.
_HASH_BYTES = 8


def even_shares(slices: int) -> list[float]:
    """Shares of equal slices, the plan of a TWAP.

    Parameters
    ----------
    slices : int
        How many, at least 1.

    Returns
    -------
    list of float
        What is to be done by the end of each slice, as a share of the whole; ascending, the last is 1.

    Examples
    --------
    >>> even_shares(4)
    [0.25, 0.5, 0.75, 1.0]
    """
    return [(at + 1) / slices for at in range(slices)]


def curve_shares(weights: Sequence[float]) -> list[float]:
    """Shares that follow a curve, such as a market's volume by the time of day.

    Parameters
    ----------
    weights : sequence of float
        Weight of each slice, none below 0. Where all are 0, the curve is flat.

    Returns
    -------
    list of float
        What is to be done by the end of each slice; ascending, the last is 1.

    Examples
    --------
    >>> curve_shares([3.0, 1.0, 1.0, 3.0])
    [0.375, 0.5, 0.625, 1.0]
    """
    total = math.fsum(weights)
    if not total > 0:
        return even_shares(len(weights))
    done, shares = 0.0, []
    for weight in weights:
        done += weight
        shares.append(min(done / total, 1.0))
    shares[-1] = 1.0
    return shares


def almgren_chriss_kappa(
    *, risk_aversion: float, volatility: float, impact: float, slice_seconds: float
) -> float:
    """How fast the optimal trajectory hurries: kappa of Almgren and Chriss, in 1/s.

    Almgren, R. and Chriss, N. (2000), "Optimal execution of portfolio transactions", Journal of Risk 3(2),
    5-39: equation 20 gives kappa in discrete time from ``kappa~^2 = lambda sigma^2 / eta~``,

        2 / tau^2 (cosh(kappa tau) - 1) = kappa~^2,

    without permanent impact, so that ``eta~ = eta``.

    Parameters
    ----------
    risk_aversion : float
        lambda, per unit of money: how much expected cost one unit of its variance is worth.
    volatility : float
        sigma, money a share per square root of a second.
    impact : float
        eta, what trading one share a second moves the price by while it lasts: money a share per (share/s). Above 0.
    slice_seconds : float
        tau, length of a slice.
    """
    squared = risk_aversion * volatility * volatility / impact
    if not squared > 0:
        return 0.0
    return math.acosh(1.0 + 0.5 * squared * slice_seconds * slice_seconds) / slice_seconds


def almgren_chriss_shares(slices: int, kappa: float, slice_seconds: float) -> list[float]:
    """Shares of the optimal trajectory: equation 17 of Almgren and Chriss (2000), 1 - x_j / X.

        x_j = X sinh(kappa (T - t_j)) / sinh(kappa T)

    Parameters
    ----------
    slices : int
        N; T is N slices long.
    kappa : float
        From `almgren_chriss_kappa`, 1/s; 0 gives even shares.
    slice_seconds : float
        tau, length of a slice.

    Returns
    -------
    list of float
        What is to be done by the end of each slice; ascending, the last is 1.

    Examples
    --------
    >>> [round(share, 3) for share in almgren_chriss_shares(4, 0.01, 60.0)]
    [0.462, 0.724, 0.884, 1.0]
    """
    if kappa * slice_seconds < 1e-9:
        return even_shares(slices)
    step = kappa * slice_seconds
    shares = []
    for at in range(1, slices + 1):
        left = step * (slices - at)
        # sinh(a) / sinh(b), a <= b, written so that nothing overflows however large b is.
        ratio = (
            math.exp(left - step * slices) * math.expm1(-2 * left) / math.expm1(-2 * step * slices)
        )
        shares.append(1.0 - ratio)
    shares[-1] = 1.0
    return shares


def target_quantity(quantity: int, share: float, step: int) -> int:
    """What is to be done of a quantity at a share of the plan.

    Parameters
    ----------
    quantity, step : int
        The whole, and the smallest quantity that is traded at a time; both scaled alike.
    share : float
        From 0 to 1.

    Returns
    -------
    int
        Whole steps, rounded down; the quantity itself, whether whole steps or not, at 1.

    Examples
    --------
    >>> [target_quantity(1_000, share, 100) for share in (0.0, 0.33, 0.999, 1.0)]
    [0, 300, 900, 1000]
    """
    if share >= 1.0:
        return quantity
    if share <= 0.0:
        return 0
    return min(int(quantity * share) // step * step, quantity)


def jittered(at: int, name: str, jitter: float) -> float:
    """Where in its slice an order goes out, so that others cannot read the clock from it.

    Parameters
    ----------
    at : int
        Number of the slice.
    name : str
        The order's identifier: the same order always jitters alike, so that a replay does too.
    jitter : float
        Greatest delay as a share of the slice, 0 to 1.

    Returns
    -------
    float
        From 0 to `jitter`, in shares of the slice.
    """
    if not jitter:
        return 0.0
    digest = sha256(f"{name}\0{at}".encode()).digest()[:_HASH_BYTES]
    return float(jitter * int.from_bytes(digest, "big") / 2 ** (8 * _HASH_BYTES))
