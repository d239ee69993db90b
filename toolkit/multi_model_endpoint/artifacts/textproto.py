"""Protocol buffers' text format, parsed: the language of Triton's ``config.pbtxt``.

The whole grammar, without a schema: comments, nested messages in braces or angle brackets, lists, adjacent strings and
their escapes, numbers in every base, extension names. What a field may hold is checked by ``triton_schema``. It is
written here because ``protobuf`` is no dependency of the constructs; the tests hold it against ``protobuf``'s own
parser.
https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn


class TextFormatError(ValueError):
    """Text that is not in the text format, with its line and column."""


class Symbol(str):
    """A bare word: an enum's value, or true or false."""

    __slots__ = ()


@dataclass
class Message:
    """A message's fields, in the order of the text; a list counts as its elements."""

    fields: list[Field] = field(default_factory=list)


Value = bytes | int | float | Symbol | Message


@dataclass(frozen=True)
class Field:
    """One value of a field.

    ``line`` is where it starts. ``empty`` is a list without elements, which has no value.
    """

    name: str
    value: Value
    line: int
    empty: bool = False


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    column: int


_TOKENS = re.compile(
    r"""
    (?P<blank>(?:[ \t\r\n\v\f]|\#[^\n]*)+)
    | (?P<float>(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?|[0-9]+[eE][+-]?[0-9]+[fF]?|(?:0|[1-9][0-9]*)[fF])
    | (?P<integer>0[xX][0-9a-fA-F]+|[0-9]+)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
    | (?P<sign>[{}<>\[\]:;,/.-])
    """,
    re.VERBOSE,
)
_ESCAPES = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.)|$)", re.DOTALL
)
_SIMPLE = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"} | {
    quoted: quoted for quoted in (b"?", b"\\", b"'", b'"')
}
_DEPTH_MAX = 100


def parse(text: str) -> Message:
    """Parse a message.

    Raises:
        TextFormatError: If the text is not in the text format.
    """
    parser = _Parser(text)
    message = parser.message(None, 0)
    return message


def _tokens(text: str) -> Iterator[_Token]:
    position, line, line_start, after_number = 0, 1, 0, False
    while position < len(text):
        match = _TOKENS.match(text, position)
        column = position - line_start + 1
        if match is None:
            raise TextFormatError(f"line {line}, column {column}: unexpected {text[position]!r}")
        kind = match.lastgroup or ""
        if kind != "blank":
            if after_number and kind in ("word", "integer", "float"):
                raise TextFormatError(f"line {line}, column {column}: a blank is missing after the number")
            yield _Token(kind, match[0], line, column)
        after_number = kind in ("integer", "float")
        if newlines := match[0].count("\n"):
            line += newlines
            line_start = position + match[0].rfind("\n") + 1
        position = match.end()
    yield _Token("end", "the end", line, position - line_start + 1)


class _Parser:
    """Recursive descent with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._next = next(self._rest)

    def message(self, closing: str | None, depth: int) -> Message:
        if depth > _DEPTH_MAX:
            self._fail(f"at most {_DEPTH_MAX} messages within each other")
        message = Message()
        while not (self._next.kind == "end" if closing is None else self._next.text == closing):
            if self._next.kind == "end":
                self._fail(f"'{closing}'")
            message.fields += self._field(depth)
        if closing is not None:
            self._advance()
        return message

    def _field(self, depth: int) -> list[Field]:
        line = self._next.line
        name = self._name()
        colon = self._take(":")
        if self._next.text in ("{", "<"):
            values = [self._value(depth)]
        elif self._take("["):
            values = self._list(depth, colon)
        elif colon:
            values = [self._value(depth)]
        else:
            self._fail(f"':' or '{{' after {name}")
        if not self._take(","):
            self._take(";")
        return [Field(name, value, line) for value in values] or [Field(name, Message(), line, empty=True)]

    def _name(self) -> str:
        if self._take("["):
            parts = [self._word("an extension's name")]
            while self._next.text in (".", "/"):
                parts += [self._advance().text, self._word("an extension's name")]
            self._expect("]")
            return f"[{''.join(parts)}]"
        return self._word("a field's name")

    def _list(self, depth: int, colon: bool) -> list[Value]:
        values: list[Value] = []
        if self._take("]"):
            return values
        while True:
            if not colon and self._next.text not in ("{", "<"):
                self._fail("':' before a list of anything but messages")
            values.append(self._value(depth))
            if self._take("]"):
                return values
            self._expect(",")

    def _value(self, depth: int) -> Value:
        if self._take("{"):
            return self.message("}", depth + 1)
        if self._take("<"):
            return self.message(">", depth + 1)
        if self._next.kind == "string":
            return self._string()
        negative = self._take("-")
        token = self._advance()
        if token.kind == "integer":
            number = _integer(token)
            return -number if negative else number
        if token.kind == "float":
            real = float(token.text.rstrip("fF"))
            return -real if negative else real
        if token.kind == "word" and not negative:
            return Symbol(token.text)
        if token.kind == "word" and token.text.lower() in ("inf", "infinity", "nan"):
            return -float(token.text)
        self._fail("a value", token)

    def _string(self) -> bytes:
        parts = []
        while self._next.kind == "string":
            token = self._advance()
            parts.append(_unescaped(token))
        return b"".join(parts)

    def _word(self, what: str) -> str:
        if self._next.kind != "word":
            self._fail(what)
        return self._advance().text

    def _take(self, sign: str) -> bool:
        found = self._next.kind == "sign" and self._next.text == sign
        if found:
            self._advance()
        return found

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._fail(f"'{sign}'")

    def _advance(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._rest)
        return token

    def _fail(self, expected: str, token: _Token | None = None) -> NoReturn:
        found = token or self._next
        got = found.text if found.kind == "end" else repr(found.text)
        raise TextFormatError(f"line {found.line}, column {found.column}: expected {expected}, got {got}")


def _integer(token: _Token) -> int:
    text = token.text
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    try:
        return int(text, 8) if len(text) > 1 and text[0] == "0" else int(text)
    except ValueError as error:
        raise TextFormatError(f"line {token.line}, column {token.column}: {text} is no octal number") from error


def _unescaped(token: _Token) -> bytes:
    def replace(match: re.Match[bytes]) -> bytes:
        octal, byte, short, long, simple = match.groups()
        if octal or byte:
            value = int(octal, 8) if octal else int(byte, 16)
            if value < 256:
                return bytes([value])
        elif short or long:
            code = int(short or long, 16)
            if code < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code).encode()
        elif simple in _SIMPLE:
            return _SIMPLE[simple]
        raise TextFormatError(
            f"line {token.line}, column {token.column}: unknown escape {match[0].decode(errors='replace')!r}"
        )

    return _ESCAPES.sub(replace, token.text[1:-1].encode(errors="surrogatepass"))
