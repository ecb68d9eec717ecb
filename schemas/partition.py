"""Which partition a key belongs to: murmur2, as Apache Kafka's Java client computes it."""

_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 of bytes, as ``org.apache.kafka.common.utils.Utils.murmur2``.

    Parameters
    ----------
    data : bytes
        The key's bytes.

    Returns
    -------
    int
        Unsigned, 0 to 2**32 - 1.
    """
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little")
        k = (k * _MULTIPLIER) & _MASK
        k ^= k >> 24
        k = (k * _MULTIPLIER) & _MASK
        h = (h * _MULTIPLIER) & _MASK
        h ^= k
    if whole < length:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _MULTIPLIER) & _MASK
    h ^= h >> 13
    h = (h * _MULTIPLIER) & _MASK
    return h ^ (h >> 15)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a row's key, as the Java client's default partitioner would choose.

    Examples
    --------
    >>> partition_of("AIG", 1)
    0
    """
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
