"""Charts as inline SVG, in the colours and the font of their page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

COLOURS = 6
"""Of lines and dots; the page gives them to the classes ``s0`` and so on."""

# as wide as a telephone's screen, where text then has its own size
_WIDTH, _HEIGHT = 380, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 26, 44


@dataclass(frozen=True)
class Line:
    """Points that are joined.

    Attributes:
        points: Their places.
        labels: What is said of each to who points at it; they are dots then.
        joined: Whether there is a line.
        colour: Its number.
    """

    points: Sequence[tuple[float, float]]
    labels: Sequence[str] = ()
    joined: bool = True
    colour: int = 0


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        title: What it is.
        low: Where it begins.
        high: Where it ends.
        logarithmic: Whether it has decades.
        written: How its figures are written.
    """

    title: str
    low: float
    high: float
    logarithmic: bool = False
    written: Callable[[float], str] = "{:g}".format

    @classmethod
    def from_zero(cls, title: str, values: Sequence[float], written: Callable[[float], str] = "{:g}".format) -> Axis:
        """From zero to beyond the largest value."""
        return cls(title, 0.0, 1.05 * max([*values, 1e-9]), written=written)

    @classmethod
    def in_decades(cls, title: str, values: Sequence[float], written: Callable[[float], str] = "{:g}".format) -> Axis:
        """Whole decades with all values above zero."""
        above = [value for value in values if value > 0] or [1.0]
        low, high = floor(log10(min(above))), ceil(log10(max(above)))
        return cls(title, 10.0**low, 10.0 ** max(high, low + 1), True, written)

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(max(value, low))
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round figures on it."""
        if self.logarithmic:
            decades = range(round(log10(self.low)), round(log10(self.high)) + 1)
            return [10.0**decade for decade in decades[:: ceil(len(decades) / 6)]]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** floor(log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
        return [step * number for number in range(floor(self.high / step + 1e-9) + 1) if step * number >= self.low]


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """A chart; the title is for who can't see it."""
    return "\n".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
            *_grid(x, y),
            *(part for line in lines for part in _line(x, y, line)),
            "</svg>",
        ]
    )


def _grid(x: Axis, y: Axis) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in y.ticks():
        at = _y(y, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{escape(y.written(value))}</text>')
    for value in x.ticks():
        at = _x(x, value)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP}" y2="{bottom}"/>')
        anchor = "middle" if at < right - 2 * _RIGHT else "end"
        parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="{anchor}">{escape(x.written(value))}</text>')
    parts.append(f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{escape(x.title)}</text>')
    parts.append(f'<text x="2" y="14">{escape(y.title)}</text>')
    return parts


def _line(x: Axis, y: Axis, line: Line) -> list[str]:
    places = [(_x(x, first), _y(y, second)) for first, second in line.points]
    colour = f"s{line.colour % COLOURS}"
    parts = []
    if line.joined:
        parts.append(f'<polyline class="{colour}" points="{" ".join(f"{a},{b}" for a, b in places)}"/>')
    parts += [
        f'<circle class="{colour}" cx="{first}" cy="{second}" r="4.5"><title>{escape(label)}</title></circle>'
        for (first, second), label in zip(places, line.labels, strict=False)
    ]
    return parts


def _x(x: Axis, value: float) -> float:
    return round(_LEFT + x.place(value) * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(y: Axis, value: float) -> float:
    return round(_HEIGHT - _BOTTOM - y.place(value) * (_HEIGHT - _TOP - _BOTTOM), 1)
