"""Prices and usages of any kind, for properties."""

from hypothesis import strategies as st

from meter.prices import ModelPrice, Tier
from meter.prices.price import in_unit_order

# Any price: few units, so that usages often meet them; divisors that are exact, repeating, and
# long.
PRICED = [
    "input_tokens",
    "cached_input_tokens",
    "input_audio_tokens",
    "output_tokens",
    "web_searches",
]
DIVISORS = st.sampled_from([1, 2, 3, 7, 1000, 3600, 10**11])
NUMERATORS = st.integers(0, 3000) | st.integers(0, 10**13)
RATES = st.fixed_dictionaries(dict.fromkeys(PRICED, NUMERATORS))
STEPS = st.lists(st.integers(0, 300), max_size=3, unique=True).map(sorted)
QUANTITIES = st.dictionaries(st.sampled_from(PRICED), st.integers(0, 400) | st.integers(0, 2**53))


@st.composite
def model_prices(draw: st.DrawFn) -> ModelPrice:
    """A price whose tiers, if any, never fall with more input, as real ones do not."""
    rates = draw(RATES)
    tiers = []
    for start in draw(STEPS):
        rates = {
            unit: rate + more
            for (unit, rate), more in zip(rates.items(), draw(RATES).values(), strict=True)
        }
        tiers.append(Tier(start, in_unit_order(rates)))
    base = in_unit_order(draw(RATES) if not tiers else dict.fromkeys(PRICED, 0))
    return ModelPrice("acme/any", "USD", draw(DIVISORS), base, tuple(tiers))
