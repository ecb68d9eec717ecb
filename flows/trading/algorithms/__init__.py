"""Execution algorithms by name, and what they know of symbols before they begin."""

from flows.trading.algorithms.iceberg import Iceberg
from flows.trading.algorithms.implementation_shortfall import ImplementationShortfall
from flows.trading.algorithms.pov import PercentOfVolume
from flows.trading.algorithms.sniper import Sniper
from flows.trading.algorithms.twap import Twap
from flows.trading.algorithms.volume_curves import VolumeCurves
from flows.trading.algorithms.vwap import Vwap
from flows.trading.interfaces import Algorithm

ALGORITHMS: dict[str, type[Algorithm]] = {
    kind.name: kind
    for kind in (Twap, Vwap, ImplementationShortfall, Iceberg, Sniper, PercentOfVolume)
}

__all__ = ["ALGORITHMS", "VolumeCurves"]
