"""Line charts as SVG: the few shapes that a chart is made of, written out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH = 800
_HEIGHT = 440
_LEFT = 78
_RIGHT = 215
_TOP = 48
_BOTTOM = 56
_COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8f5db7", "#c77b0b", "#555555")
_FONT = "font-family='system-ui, sans-serif' font-size='12'"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; a `dashed` one is a limit to compare with."""

    name: str
    points: Sequence[Point]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis with its ticks; `place` takes a value to where it stands, evenly spaced as the eye
    should see it.
    """

    title: str
    ticks: Sequence[tuple[float, str]]
    place: Callable[[float], float] = math.log10

    def share(self, value: float) -> float:
        first = self.place(self.ticks[0][0])
        last = self.place(self.ticks[-1][0])
        return (self.place(value) - first) / (last - first)


def chart(title: str, across: Axis, up: Axis, lines: Sequence[Line]) -> str:
    """The chart as a file's text."""
    shapes = [*_frame(title, across, up)]
    for number, line in enumerate(lines):
        shapes += _line(line, across, up, number)
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' {_FONT}>"
    return "\n".join(
        [head, f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='white'/>", *shapes, "</svg>", ""]
    )


def ticks_around(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks at 1, 2 and 5 of each power of ten that reach around `low` to `high`."""
    steps = [digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5)]
    first = max(index for index, step in enumerate(steps) if step <= low)
    last = min(index for index, step in enumerate(steps) if step >= high)
    return [(step, f"{step:,g}") for step in steps[first : max(last, first + 1) + 1]]


def _frame(title: str, across: Axis, up: Axis) -> Sequence[str]:
    right = _WIDTH - _RIGHT
    bottom = _HEIGHT - _BOTTOM
    shapes = [_text(_LEFT, 26, title, "start", "font-size='15' font-weight='600'")]
    for value, label in across.ticks:
        x = _x(across, value)
        shapes += [_stroke(x, _TOP, x, bottom, "#e6e6e6"), _text(x, bottom + 18, label)]
    for value, label in up.ticks:
        y = _y(up, value)
        shapes += [_stroke(_LEFT, y, right, y, "#e6e6e6"), _text(_LEFT - 8, y + 4, label, "end")]
    shapes.append(_text((_LEFT + right) / 2, _HEIGHT - 14, across.title))
    return [*shapes, _text(_LEFT, _TOP - 6, up.title, "end")]


def _line(line: Line, across: Axis, up: Axis, number: int) -> Sequence[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    places = [(_x(across, value), _y(up, height)) for value, height in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashes = " stroke-dasharray='6 4'" if line.dashed else ""
    shapes = [f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'{dashes}/>"]
    if not line.dashed:
        shapes += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>" for x, y in places]
    y = _TOP + 14 + 20 * number
    x = _WIDTH - _RIGHT + 14
    return [
        *shapes,
        _stroke(x, y - 4, x + 18, y - 4, colour, dashes),
        _text(x + 24, y, line.name, "start"),
    ]


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'{more}/>"
    )


def _text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {more}>{escape(words)}</text>"
