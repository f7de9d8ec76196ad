"""Reads the filters that statement requests share: a span of time, and names to match."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement

from meter.errors import InvalidField
from meter.times import first_ms
from meter.v1 import ledger_pb2 as pb

_Timed = pb.ListEntriesRequest | pb.QueryUsageRequest | pb.ListEventsRequest

MAX_FILTER = 256  # characters of a model's or a dimension's name


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Holds the times from `start_ms` until before `end_ms`; None leaves that side unbounded."""

    start_ms: int | None
    end_ms: int | None

    def conditions(self, time: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """Returns the SQL conditions under which the column `time` lies within the span."""
        conditions = []
        if self.start_ms is not None:
            conditions.append(time >= self.start_ms)
        if self.end_ms is not None:
            conditions.append(time < self.end_ms)
        return conditions

    def rounded_outwards(self, unit_ms: int) -> "TimeSpan":
        """Returns the span extended to whole multiples of `unit_ms` on both sides."""
        start_ms = self.start_ms
        end_ms = self.end_ms
        if start_ms is not None:
            start_ms -= start_ms % unit_ms
        if end_ms is not None:
            end_ms += -end_ms % unit_ms
        return TimeSpan(start_ms, end_ms)


def read_time_span(request: _Timed) -> TimeSpan:
    """Returns the span that the request's `start_time` and `end_time` name.

    Raises InvalidField for a time outside the years 1 to 9999 and for a start after the end.
    """
    start_ms = _start_ms(request)
    end_ms = _end_ms(request)
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise InvalidField("start_time", "must not be after end_time")
    return TimeSpan(start_ms, end_ms)


def _start_ms(request: _Timed) -> int | None:
    if not request.HasField("start_time"):
        return None
    return first_ms("start_time", request.start_time)


def _end_ms(request: _Timed) -> int | None:
    if not request.HasField("end_time"):
        return None
    return first_ms("end_time", request.end_time)


def of_model(column: ColumnElement[str], model: str) -> ColumnElement[bool]:
    """Returns the condition that a row is of a model.

    Rows have models as charged, mostly as "provider/model"; a name without a provider finds the
    model of any provider.
    """
    if "/" in model:
        return column == model
    return (column == model) | column.endswith(f"/{model}", autoescape=True)


def check_filter(field: str, text: str) -> None:
    """Raises InvalidField unless `text` has at most 256 characters, all printable."""
    if len(text) > MAX_FILTER or not text.isprintable():
        raise InvalidField(field, f"at most {MAX_FILTER} printable characters")
