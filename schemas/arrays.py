"""Names of the numpy array types that kernels and flows take and give."""

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
UInt64s = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
