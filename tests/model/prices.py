"""What usage costs, in exact fractions."""

from dataclasses import dataclass
from fractions import Fraction

from gate.v1.gate_pb2 import Usage

NANOS_PER_CREDIT = 10**9


@dataclass(frozen=True)
class Price:
    """Credits per token, exact; a model not listed here is unknown."""

    currency: str
    per_token: dict[str, Fraction]

    def cost(self, usage: Usage) -> int:
        return round(self._nanos(counts_of(usage)))  # of a Fraction: half-even, exact

    def output_tokens_for(self, usage: Usage, nanos: int) -> int:
        """The most output tokens that, after the other counts, cost `nanos` at most."""
        rest = {unit: count for unit, count in counts_of(usage).items() if unit != "output_tokens"}
        if round(self._nanos(rest)) > nanos:
            return 0
        guess = int(
            (nanos - self._nanos(rest)) / (self.per_token["output_tokens"] * NANOS_PER_CREDIT)
        )
        near = (
            n
            for n in range(guess + 2, guess - 3, -1)
            if round(self._nanos(rest | {"output_tokens": n})) <= nanos
        )
        return min(2**53, next(near))

    def _nanos(self, counts: dict[str, int]) -> Fraction:
        return (
            sum((self.per_token[unit] * count for unit, count in counts.items()), Fraction(0))
            * NANOS_PER_CREDIT
        )


def counts_of(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
