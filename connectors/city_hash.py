"""CityHash128 as ClickHouse has it (version 1.0.2), which guards the blocks of its own compression.

Geoff Pike and Jyrki Alakuijala, CityHash, Google 2011 (https://github.com/google/cityhash, release 1.0.2);
later releases give other values. Not for secrets.
"""

import numpy as np
import numpy.typing as npt

from schemas.machine_code import compiled

_U = np.uint64
_K0 = _U(0xC3A5C85C97CB3127)
_K1 = _U(0xB492B66FBE98F273)
_K2 = _U(0x9AE16A3B2F90404F)
_K3 = _U(0xC949D7C7509E6557)
_MIX = _U(0x9DDFEA08EB382D69)
_WORD = _U(64)
# A signed operand would turn the arithmetic into floating point.
_S2, _S3, _S8, _S47 = _U(2), _U(3), _U(8), _U(47)


def city_hash_128(data: bytes | bytearray | memoryview) -> bytes:
    """The hash of some bytes, as 16 bytes: the lower half first, each little-endian.

    Parameters
    ----------
    data : bytes-like
        Any length.
    """
    low, high = _city128(np.frombuffer(data, np.uint8))
    return int(low).to_bytes(8, "little") + int(high).to_bytes(8, "little")


@compiled
def _word(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    found = _U(0)
    for index in range(8):
        found |= _U(data[at + index]) << _U(8 * index)
    return found


@compiled
def _half_word(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    found = _U(0)
    for index in range(4):
        found |= _U(data[at + index]) << _U(8 * index)
    return found


@compiled
def _turned(value: np.uint64, by: np.uint64) -> np.uint64:
    return (value >> by) | (value << (_WORD - by))


@compiled
def _shift_mix(value: np.uint64) -> np.uint64:
    return value ^ (value >> _S47)


@compiled
def _of_two(low: np.uint64, high: np.uint64) -> np.uint64:
    first = _shift_mix((low ^ high) * _MIX)
    return _shift_mix((high ^ first) * _MIX) * _MIX


@compiled
def _of_few(data: npt.NDArray[np.uint8]) -> np.uint64:
    """Of at most 16 bytes."""
    count = len(data)
    if count > 8:
        last = _word(data, count - 8)
        return _of_two(_word(data, 0), _turned(last + _U(count), _U(count))) ^ last
    if count >= 4:
        return _of_two(_U(count) + (_half_word(data, 0) << _S3), _half_word(data, count - 4))
    if count > 0:
        low = _U(data[0]) + (_U(data[count >> 1]) << _S8)
        high = _U(count) + (_U(data[count - 1]) << _S2)
        return _shift_mix((low * _K2) ^ (high * _K3)) * _K2
    return _K2


@compiled
def _weak(
    data: npt.NDArray[np.uint8], at: int, a: np.uint64, b: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Of 32 bytes and two seeds."""
    a += _word(data, at)
    last = _word(data, at + 24)
    b = _turned(b + a + last, _U(21))
    seed = a
    a += _word(data, at + 8) + _word(data, at + 16)
    b += _turned(a, _U(44))
    return a + last, b + seed


@compiled
def _murmur(data: npt.NDArray[np.uint8], a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Of fewer than 128 bytes and two seeds."""
    count = len(data)
    if count <= 16:
        a = _shift_mix(a * _K1) * _K1
        c = b * _K1 + _of_few(data)
        d = _shift_mix(a + (_word(data, 0) if count >= 8 else c))
    else:
        c = _of_two(_word(data, count - 8) + _K1, a)
        d = _of_two(b + _U(count), c + _word(data, count - 16))
        a += d
        for at in range(0, count - 16, 16):
            a = (a ^ (_shift_mix(_word(data, at) * _K1) * _K1)) * _K1
            b ^= a
            c = (c ^ (_shift_mix(_word(data, at + 8) * _K1) * _K1)) * _K1
            d ^= c
    a, b = _of_two(a, c), _of_two(d, b)
    return a ^ b, _of_two(b, a)


@compiled
def _seeded(data: npt.NDArray[np.uint8], x: np.uint64, y: np.uint64) -> tuple[np.uint64, np.uint64]:
    count = len(data)
    if count < 128:
        return _murmur(data, x, y)
    z = _U(count) * _K1
    v0 = _turned(y ^ _K1, _U(49)) * _K1 + _word(data, 0)
    v1 = _turned(v0, _U(42)) * _K1 + _word(data, 8)
    w0 = _turned(y + z, _U(35)) * _K1 + x
    w1 = _turned(x + _word(data, 88), _U(53)) * _K1
    whole = count - count % 128
    for at in range(0, whole, 64):
        x = _turned(x + y + v0 + _word(data, at + 16), _U(37)) * _K1 ^ w1
        y = _turned(y + v1 + _word(data, at + 48), _U(42)) * _K1 ^ v0
        z = _turned(z ^ w0, _U(33))
        v0, v1 = _weak(data, at, v1 * _K1, x + w0)
        w0, w1 = _weak(data, at + 32, z + w1, y)
        z, x = x, z
    y += _turned(w0, _U(37)) * _K0 + z
    x += _turned(v0 + z, _U(49)) * _K0
    # The rest, 32 bytes at a time from its end; the last step may reach into what was hashed already.
    for done in range(32, count - whole + 32, 32):
        at = count - done
        y = _turned(y - x, _U(42)) * _K0 + v1
        w0 += _word(data, at + 16)
        x = _turned(x, _U(49)) * _K0 + w0
        w0 += v0
        v0, v1 = _weak(data, at, v0, v1)
    x, y = _of_two(x, v0), _of_two(y, w0)
    return _of_two(x + v1, w1) + y, _of_two(x + w1, y + v1)


@compiled
def _city128(data: npt.NDArray[np.uint8]) -> tuple[np.uint64, np.uint64]:
    count = len(data)
    if count >= 16:
        return _seeded(data[16:], _word(data, 0) ^ _K3, _word(data, 8))
    if count >= 8:
        return _seeded(data[:0], _word(data, 0) ^ (_U(count) * _K0), _word(data, count - 8) ^ _K1)
    return _seeded(data, _K0, _K1)
