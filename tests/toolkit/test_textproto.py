"""The text format's parser, held against protobuf's own."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc.model_config_pb2 import ModelConfig

from multi_model_endpoint.artifacts.textproto import Message, Symbol, TextFormatError, parse
from multi_model_endpoint.artifacts.triton_schema import schema_problems

# FieldDescriptor.CPPTYPE_*
INT32, INT64, UINT32, UINT64, DOUBLE, FLOAT, BOOL, ENUM, STRING, MESSAGE = range(1, 11)
NUMBERS = {
    INT32: st.integers(-(2**31), 2**31 - 1),
    INT64: st.integers(-(2**63), 2**63 - 1),
    UINT32: st.integers(0, 2**32 - 1),
    UINT64: st.integers(0, 2**64 - 1),
    DOUBLE: st.floats(allow_nan=False),
    FLOAT: st.floats(allow_nan=False, width=32),
    BOOL: st.booleans(),
    STRING: st.text(max_size=8),
}


@st.composite
def messages(draw: Any, descriptor: Any = ModelConfig.DESCRIPTOR, depth: int = 0) -> Any:
    """Any message of the type."""
    message = descriptor._concrete_class()
    for field in draw(st.lists(st.sampled_from([*descriptor.fields]), max_size=5)) if descriptor.fields else []:
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            name = draw(scalar(key))
            if value.cpp_type == MESSAGE:
                if depth < 3:
                    getattr(message, field.name)[name].CopyFrom(draw(messages(value.message_type, depth + 1)))
            else:
                getattr(message, field.name)[name] = draw(scalar(value))
        elif field.cpp_type == MESSAGE:
            if depth < 3:
                target = getattr(message, field.name)
                (target.add() if field.is_repeated else target).CopyFrom(draw(messages(field.message_type, depth + 1)))
                if not field.is_repeated:
                    target.SetInParent()
        elif field.is_repeated:
            getattr(message, field.name).append(draw(scalar(field)))
        else:
            setattr(message, field.name, draw(scalar(field)))
    return message


def scalar(field: Any) -> Any:
    if field.cpp_type == ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == 12:
        return st.binary(max_size=8)
    return NUMBERS[field.cpp_type]


def rebuilt(message: Message, descriptor: Any) -> Any:
    """A protobuf message from a parsed one."""
    result = descriptor._concrete_class()
    for each in message.fields:
        field = descriptor.fields_by_name[each.name]
        if each.empty:
            continue
        if isinstance(each.value, Message):
            value = rebuilt(each.value, field.message_type)
            target = getattr(result, field.name)
            if field.message_type.GetOptions().map_entry:
                if field.message_type.fields_by_name["value"].cpp_type == MESSAGE:
                    target[value.key].CopyFrom(value.value)
                else:
                    target[value.key] = value.value
            elif field.is_repeated:
                target.add().CopyFrom(value)
            else:
                target.CopyFrom(value)
                target.SetInParent()
            continue
        plain: Any = each.value
        if field.cpp_type == ENUM and isinstance(plain, Symbol):
            plain = field.enum_type.values_by_name[plain].number
        elif field.cpp_type == BOOL:
            plain = plain in ("true", "True", "t", 1)
        elif field.cpp_type in (FLOAT, DOUBLE):
            plain = float(plain)
        elif field.cpp_type == STRING and field.type != 12:
            plain = plain.decode()
        if field.is_repeated:
            getattr(result, field.name).append(plain)
        else:
            setattr(result, field.name, plain)
    return result


@settings(deadline=None, max_examples=300)
@given(messages(), st.booleans(), st.booleans(), st.booleans())
def test_reads_what_protobuf_writes(message: Any, one_line: bool, short: bool, angles: bool) -> None:
    text = text_format.MessageToString(
        message,
        as_one_line=one_line,
        use_short_repeated_primitives=short,
        pointy_brackets=angles,
        as_utf8=one_line,
    )
    parsed = parse(text)
    assert [*schema_problems(parsed)] == []
    assert rebuilt(parsed, ModelConfig.DESCRIPTOR) == message


PIECES = st.sampled_from(
    [
        *("name", "backend", "max_batch_size", "input", "dims", "data_type", "TYPE_FP32", "parameters", "key", "value"),
        *("version_policy", "latest", "specific", "versions", "num_versions", "buckets", "decoupled", "nonsense"),
        *(":", ":", "{", "}", "{", "}", "<", ">", "[", "]", ",", ";", "-", "[a.b/c.d]"),
        *(
            "1",
            "0",
            "007",
            "08",
            "0x1F",
            "-1",
            "4294967296",
            "1.5",
            ".5",
            "1.",
            "1e3",
            "1f",
            "2.5F",
            "1x",
            "inf",
            "nan",
        ),
        *(
            "true",
            "True",
            "t",
            "false",
            '"a"',
            "'b'",
            '"a',
            r'"\n\x41\101\u00e9"',
            r'"\q"',
            '"\n"',
            '""',
            "# no\n",
            "\n",
        ),
        *('name: "x"', "max_batch_size: 8", "input { dims: [1, 2] }", "dims: [ ]", "input [ { name: 'a' }, < > ]"),
    ]
)


@settings(deadline=None, max_examples=1500)
@given(st.lists(PIECES, max_size=14), st.sampled_from([" ", ""]))
def test_takes_what_protobuf_takes_and_nothing_else(pieces: list[str], blank: str) -> None:
    text = blank.join(pieces)
    try:
        expected = text_format.Parse(text, ModelConfig())
    except (text_format.ParseError, DeprecationWarning):  # the latter for an escape that C++ refuses
        expected = None
    try:
        parsed = parse(text)
    except TextFormatError:
        assert expected is None, text
        return
    problems = [*schema_problems(parsed)]
    if expected is None:
        assert problems, text
    else:
        assert problems == [], text
        assert rebuilt(parsed, ModelConfig.DESCRIPTOR) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: ", "line 1, column 7: expected a value, got the end"),
        ("name: 'a'\ninput {\n  dims: 1\n", "line 4, column 1: expected '}', got the end"),
        ("name 'a'", "line 1, column 6: expected ':' or '{' after name, got \"'a'\""),
        ("dims [1]", "expected ':' before a list of anything but messages, got '1'"),
        ("name: 'a", 'line 1, column 7: unexpected "\'"'),
        ("count: 1x", "line 1, column 9: a blank is missing after the number"),
        ("count: 09", "line 1, column 8: 09 is no octal number"),
        (r"name: '\q'", r"unknown escape '\\q'"),
        ("[a.b", "expected ']', got the end"),
        ("a{" * 200 + "}" * 200, "at most 100 messages within each other"),
    ],
)
def test_says_where_text_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(TextFormatError) as caught:
        parse(text)
    assert problem in str(caught.value)


def test_reads_negative_infinity() -> None:
    (field,) = parse("a: -inf").fields
    assert field.value == -math.inf
