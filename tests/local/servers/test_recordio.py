"""RecordIO protobuf, written here by the protobuf library and read by our few lines."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
import scipy.sparse  # type: ignore[import-untyped]  # no py.typed
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessages

from mme_local.servers.handlers import recordio, xgboost_model, xgboost_script

from .conftest import Kit

TYPE = "application/x-recordio-protobuf"


F = FieldDescriptorProto


def message_type(file: Any, name: str, fields: dict[str, tuple[int, Any, bool]], packed: bool) -> None:
    """A protobuf message: its fields by name, with their numbers, types and whether they repeat."""
    message = file.message_type.add(name=name)
    for field, (number, kind, repeated) in fields.items():
        label = F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL
        added = message.field.add(name=field, number=number, label=label)
        if isinstance(kind, str):
            added.type, added.type_name = F.TYPE_MESSAGE, f".{kind}"
        else:
            added.type = kind
            if repeated:
                added.options.packed = packed


def record_class(packed: bool) -> Any:
    """The message that SageMaker's algorithms exchange, as its documentation describes it."""
    file = FileDescriptorProto(name="record.proto", syntax="proto2")
    integers = {"keys": (2, F.TYPE_UINT64, True), "shape": (3, F.TYPE_UINT64, True)}
    message_type(file, "Float32Tensor", {"values": (1, F.TYPE_FLOAT, True)} | integers, packed)
    message_type(file, "Float64Tensor", {"values": (1, F.TYPE_DOUBLE, True)} | integers, packed)
    message_type(file, "Int32Tensor", {"values": (1, F.TYPE_INT32, True)} | integers, packed)
    tensors = {"float32_tensor": (2, "Float32Tensor", False), "float64_tensor": (3, "Float64Tensor", False)}
    message_type(file, "Value", tensors | {"int32_tensor": (7, "Int32Tensor", False)}, packed)
    message_type(file, "Entry", {"key": (1, F.TYPE_STRING, False), "value": (2, "Value", False)}, packed)
    message_type(file, "Record", {"features": (1, "Entry", True), "label": (2, "Entry", True)}, packed)
    return GetMessages([file])["Record"]


RECORDS = {packed: record_class(packed) for packed in (True, False)}


def request(
    *rows: Any, kind: str = "float32_tensor", keys: Any = (), shape: Any = (), label: float = 1.0, packed: bool = True
) -> bytes:
    """A request in RecordIO protobuf."""
    body = b""
    for row in rows:
        record = RECORDS[packed]()
        entry = record.features.add(key="values")
        tensor = getattr(entry.value, kind)
        tensor.values.extend(row)
        tensor.keys.extend(keys)
        tensor.shape.extend(shape)
        record.label.add(key="values").value.float32_tensor.values.append(label)
        content = record.SerializeToString()
        body += struct.pack("<II", 0xCED7230A, len(content)) + content + bytes(-len(content) % 4)
    return body


ROWS = [[120, 4, 15, 3.5], [55, 2, 60, 12]]


@pytest.mark.parametrize(
    "body",
    [
        request(*ROWS),
        request(*ROWS, packed=False),
        request(*ROWS, kind="float64_tensor"),
        request(*ROWS, keys=[0, 1, 2, 3], shape=[4]),
        request(*ROWS, keys=[0, 1, 2, 3]),
    ],
)
def test_both_modes_of_xgboost_predict_from_it(kit: type[Kit], body: bytes) -> None:
    models = xgboost_model.load(kit.directory("house-price"))
    expected = pytest.approx(kit.sample("house-price")["prediction"])
    assert json.loads(xgboost_model.respond(models, body, {"content-type": TYPE})[0]) == expected
    matrix = xgboost_script.Defaults().default_input_fn(bytearray(body), TYPE)
    assert models[0].booster.predict(matrix).tolist() == expected


@pytest.mark.parametrize("packed", [True, False])
def test_reads_integers_of_either_sign(packed: bool) -> None:
    body = request([1, -2, 300], kind="int32_tensor", packed=packed)
    assert recordio.decode(body).tolist() == [[1, -2, 300]]


def test_reads_sparse_and_empty_rows() -> None:
    body = request([7], keys=[2], shape=[5]) + request([], shape=[5])
    matrix = recordio.decode(body)
    assert scipy.sparse.issparse(matrix)
    assert matrix.toarray().tolist() == [[0, 0, 7, 0, 0], [0] * 5]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1,2,3,4",
        request([1, 2])[:-1],
        struct.pack("<II", 0xCED7230A, 4) + b"\xff" * 4,
        struct.pack("<II", 0xCED7230A, 4) + b"\x0a\x7f\x00\x00",
        struct.pack("<II", 0xCED7230A, 4) + b"\x0b\x00\x00\x00",
        request([1, 2]) + request([1, 2, 3]),
        request([1, 2], keys=[0, 2**63], shape=[4]),
    ],
)
def test_refuses_what_is_none(kit: type[Kit], body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's and scipy's, too
        recordio.decode(body)


def test_rows_are_those_that_numpy_has() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    assert (recordio.decode(request(*rows.tolist())) == rows).all()
