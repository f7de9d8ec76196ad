"""Follows a provider's stream: its usage objects, and how much came before anybody left."""

from typing import Any

from gate.client.fields import SettleFields
from gate.client.reported import json_of, merged, usage_in
from gate.v1.gate_pb2 import AuthorizeResponse, Usage

_NOT_REPORTED = "usage not reported: estimated"


class MeteredStream:
    """Sees the chunks of a stream, and tells what the stream has used.

    `estimate` is the usage that was authorized, None for a hold of an amount; `hold` is the gate's
    reply.
    """

    def __init__(self, estimate: Usage | None, hold: AuthorizeResponse) -> None:
        self._estimate = estimate
        self._hold = hold
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._chunks = 0
        self._is_whole = False

    @property
    def has_begun(self) -> bool:
        return self._chunks > 0

    def see(self, chunk: object) -> None:
        """Counts a chunk, and keeps the usage object if the chunk has one."""
        self._chunks += 1
        usage = usage_in(chunk)
        if usage is None:
            return
        if self._first is None:
            self._first = usage
        self._last = usage

    def end(self) -> None:
        """Says that the provider has ended the stream."""
        self._is_whole = True

    def settlement(self) -> SettleFields:
        """Returns the fields of the Debit that the stream makes.

        Without a report that is an estimate: the input that was authorized, and one token of output
        a chunk, at most as many as the hold pays for; for a hold of an amount, the amount.
        """
        if self._first is not None:
            return {"usage": self._reported(self._first)}
        if self._estimate is None:
            return {"amount_nanos": self._hold.held_nanos, "description": _NOT_REPORTED}
        usage = Usage()
        usage.CopyFrom(self._estimate)
        usage.output_tokens = min(self._chunks, self._most_output_tokens(self._estimate))
        return {"usage": usage, "description": _NOT_REPORTED}

    def _reported(self, first: dict[str, Any]) -> Usage:
        usage = merged(first, self._last)
        if not self._is_whole and "output_tokens" in usage:
            # Anthropic's first event counts one token of output, whatever comes after.
            usage = merged(usage, {"output_tokens": self._chunks})
        return Usage(reported_json=json_of(usage))

    def _most_output_tokens(self, estimate: Usage) -> int:
        if not self._hold.HasField("affordable_output_tokens"):
            return estimate.output_tokens
        return min(estimate.output_tokens, self._hold.affordable_output_tokens)
