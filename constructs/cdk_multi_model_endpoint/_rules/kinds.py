"""Whether arguments are of the kinds that their annotations say, asked before jsii gets them.

``cdk synth -c count=3`` gives the string ``"3"``, and a flag ``"false"`` counts as true. jsii's process dies of an
infinite number, and with it every later call.
"""

from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Union, Unpack, cast, get_args, get_origin, get_type_hints

import aws_cdk as cdk
from constructs import Construct

from multi_model_endpoint.artifacts.findings import Problem

from .errors import InvalidEndpointError
from .tokens import is_token

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

_PLAIN = (str, bytes, int, float, list, tuple, os.PathLike)
_EXACT = (cdk.Duration, cdk.Size, Enum)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Raise ``InvalidEndpointError`` for arguments of another kind than the function's annotations say."""
    signature = inspect.signature(function)

    @wraps(function)
    def check(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError:  # Python says better itself which argument is missing
            return function(*args, **kwargs)
        if problems := tuple(_problems(function, signature, arguments)):
            raise InvalidEndpointError(_where(function, arguments), problems)
        return function(*args, **kwargs)

    return check


def checked_fields(cls: type[C]) -> type[C]:
    """The same for what a dataclass is made of."""
    cls.__init__ = checked(cls.__init__)  # type: ignore[method-assign]
    return cls


def sequence(argument: str, values: object) -> Iterator[Problem]:
    """Several values. A string is a sequence, too, of its letters: ``"tenant_a*"`` would allow ``"*"``."""
    if isinstance(values, str):
        way_out = "write […], or Token.as_list(…) for a whole list" if is_token(values) else f"write [{values!r}]"
        yield Problem("wrongType", f"{argument} must be a list, got {_said(values)}: {way_out}")
    elif isinstance(values, bytes) or not isinstance(values, Sequence):
        yield Problem("wrongType", f"{argument} must be a list, got {values!r}")


def _where(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """What an error is headed by: the construct's path, or what was called."""
    of, construct_id = arguments.get("self"), arguments.get("construct_id")
    if function.__name__ == "__init__":
        scope = arguments.get("scope")
        if isinstance(scope, Construct) and isinstance(construct_id, str):
            return f"{scope.node.path}/{construct_id}".lstrip("/")
        return function.__qualname__.removesuffix(".__init__")
    return of.node.path if isinstance(of, Construct) else function.__qualname__


def _problems(
    function: Callable[..., Any], signature: inspect.Signature, arguments: Mapping[str, Any]
) -> Iterator[Problem]:
    hints = _hints(function)
    for argument, value in arguments.items():
        hint = hints.get(argument)
        if get_origin(hint) is Unpack:
            of_options = _hints(get_args(hint)[0])
            for name, option in value.items():
                if name not in of_options:
                    raise TypeError(f"{function.__qualname__}() got an unexpected keyword argument {name!r}")
                if option is not None:  # for the CDK it is the same as one that is left out
                    yield from _problem(name, option, of_options.get(name))
        elif signature.parameters[argument].kind is inspect.Parameter.VAR_POSITIONAL:
            yield from _elements(argument, value, hint)
        else:
            yield from _problem(argument, value, hint)


@cache
def _hints(annotated: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(annotated)


def _problem(argument: str, value: object, hint: Any) -> Iterator[Problem]:
    """What is wrong with a value, or nothing where the kind is one that jsii or the rules check."""
    alternatives = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in alternatives:
        return
    hint = next(each for each in alternatives if each is not type(None))
    if hint in (int, float):
        yield from _number(argument, value, whole=hint is int)
    elif hint is bool:
        if not isinstance(value, bool):
            yield Problem("wrongType", f"{argument} must be True or False, got {_said(value)}{_way_out(value, 'flag')}")
    elif hint is str:
        paths = any((get_origin(each) or each) in (os.PathLike, Path) for each in alternatives)
        if not isinstance(value, (str, os.PathLike) if paths else str):
            text = "a string or a path" if paths else "a string"
            yield Problem("wrongType", f"{argument} must be {text}, got {_said(value)}{_way_out(value, 'string')}")
    elif get_origin(hint) is Sequence:
        wrong = list(sequence(argument, value))
        yield from wrong or _elements(argument, cast(Sequence[object], value), *get_args(hint))
    elif get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            yield Problem("wrongType", f"{argument} must be a mapping such as a dict, got {_said(value)}")
    elif isinstance(hint, type) and not _may_be(value, hint):
        yield Problem("wrongType", f"{argument} must be of the kind {hint.__name__}, got {_said(value)}")


def _elements(argument: str, values: Sequence[object], hint: Any) -> Iterator[Problem]:
    for number, value in enumerate(values):
        yield from _problem(f"{argument}[{number}]", value, hint)


def _may_be(value: object, hint: type) -> bool:
    """Whether a value can be of a class; jsii takes much for its interfaces, and mappings for CloudFormation's."""
    if issubclass(hint, _EXACT):
        return isinstance(value, hint)
    if hint.__module__.startswith(__package__.partition(".")[0]):  # ours, which nothing stands in for
        return isinstance(value, hint) or hint.__name__ in getattr(value, "_refused_as", ())
    if isinstance(value, Mapping):
        return hint.__name__.endswith("Property")
    return value is not None and not isinstance(value, _PLAIN)


def _number(argument: str, value: object, *, whole: bool) -> Iterator[Problem]:
    kind = "a whole number" if whole else "a number"
    if isinstance(value, (bool, Enum)) or not isinstance(value, (int, float)):
        yield Problem("wrongType", f"{argument} must be {kind}, got {_said(value)}{_way_out(value, kind)}")
    elif is_token(value):
        return
    elif not abs(value) <= sys.float_info.max:
        yield Problem("wrongType", f"{argument} must be a finite number, got {value}")
    elif whole and not isinstance(value, int):
        yield Problem("wrongType", f"{argument} must be {kind}, got {value}")


def _way_out(value: object, kind: str) -> str:
    number = {"a whole number": "int(…)", "a number": "int(…) or float(…)"}.get(kind)
    if is_token(value):
        return "" if kind == "flag" else f": write Token.as_{'string' if number is None else 'number'}(…)"
    if kind == "flag" and isinstance(value, str):
        return ": write … == 'true', context given by -c is text"
    if number is not None and isinstance(value, str):
        return f": write {number}, context given by -c is text"
    if number is not None and hasattr(value, "__float__"):
        return f": it is of the kind {type(value).__name__}, write {number}"
    if kind == "string" and isinstance(value, (int, float)):
        return f": write {str(value)!r}"
    return ""


def _said(value: object) -> str:
    if is_token(value):
        return "a token"
    return f"the string {value!r}" if isinstance(value, str) else repr(value)
