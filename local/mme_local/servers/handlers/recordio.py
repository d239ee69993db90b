"""Requests in ``application/x-recordio-protobuf``: the rows of a matrix as SageMaker's algorithms exchange them.

RecordIO frames each row: a magic number, its length, and padding to four bytes. A row is a protobuf
``aialgs.data.Record``, of which the tensor called ``values`` among its features counts, with ``keys`` and ``shape``
where it is sparse.
https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse  # type: ignore[import-untyped]

_MAGIC = 0xCED7230A
_FEATURES = 1  # of a Record: a map, whose entries have a key and a value
_KEY, _VALUE = 1, 2
_DTYPES = {2: "<f4", 3: "<f8", 7: None}
"""The tensors that a Value may be, by their fields: 32 and 64 bit floats, and integers of variable length."""
_VALUES, _KEYS, _SHAPE = 1, 2, 3  # of a tensor

_Field = tuple[int, int | bytes]


def decode(body: bytes) -> Any:
    """The matrix in a body: dense, or sparse where a row is.

    Raises:
        ValueError: If there is none.
    """
    rows = [row for record in _records(body) for row in _features(record)]
    if not rows:
        raise ValueError("no records found")
    if any(scipy.sparse.issparse(row) for row in rows):
        return scipy.sparse.vstack(rows).tocsr()
    return np.vstack(rows)


def _records(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        if at + 8 > len(body):
            raise ValueError(f"truncated record at byte {at}")
        magic, length = struct.unpack_from("<II", body, at)
        if magic != _MAGIC:
            raise ValueError(f"no record at byte {at}")
        end = at + 8 + (length + 3) // 4 * 4
        if end > len(body):
            raise ValueError(f"truncated record at byte {at}")
        yield body[at + 8 : at + 8 + length]
        at = end


def _features(record: bytes) -> Iterator[Any]:
    for field, entry in _fields(record):
        parts = dict(_fields(_bytes(entry))) if field == _FEATURES else {}
        if parts.get(_KEY) == b"values":
            for kind, tensor in _fields(_bytes(parts.get(_VALUE, b""))):
                if kind in _DTYPES:
                    yield _row(_bytes(tensor), _DTYPES[kind])


def _row(tensor: bytes, dtype: str | None) -> Any:
    values: list[Any] = []
    keys: list[int] = []
    shape: list[int] = []
    for field, content in _fields(tensor):
        if field == _VALUES and dtype is not None:
            values += np.frombuffer(_bytes(content), dtype).tolist()
        elif field in (_VALUES, _KEYS, _SHAPE):
            numbers = [content] if isinstance(content, int) else [*_varints(content)]
            {_VALUES: values, _KEYS: keys, _SHAPE: shape}[field].extend(numbers)
    if dtype is None:  # an int32: the low half of what is sent
        values = np.array(values, np.uint64).astype(np.uint32).view(np.int32).tolist()
    if not keys and (values or not shape):
        return np.array([values], float)
    width = shape[0] if shape else max(keys) + 1
    if not max(keys, default=-1) < width < 2**31:
        raise ValueError(f"no matrix of {width} columns has all the keys")
    return scipy.sparse.csr_matrix((values, keys, [0, len(keys)]), shape=(1, width), dtype=float)


def _fields(message: bytes) -> Iterator[_Field]:
    """The fields of a protobuf message: those of fixed length as bytes, as the packed ones are."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield field, number
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("no protobuf record")
        if at + length > len(message):
            raise ValueError("truncated protobuf record")
        yield field, message[at : at + length]
        at += length


def _varints(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        number, at = _varint(content, at)
        yield number


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(content) or shift > 63:
            raise ValueError("no protobuf record")
        number |= (content[at] & 0x7F) << shift
        shift += 7
        at += 1
        if content[at - 1] < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at


def _bytes(content: int | bytes) -> bytes:
    if isinstance(content, int):
        raise ValueError("no protobuf record")
    return content
