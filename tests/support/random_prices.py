"""Generates prices and usages of any kind, for properties."""

from hypothesis import strategies as st

from meter.prices import ModelPrice, Tier
from meter.prices.price import in_unit_order

# Few units, so that usages often contain them; divisors that are exact, repeating, and long.
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
    """Draws a price whose tiers, if any, never fall with more input, as real tiers do not."""
    rates = draw(RATES)
    tiers = []
    for start in draw(STEPS):
        increases = draw(RATES)
        rates = {unit: rate + increases[unit] for unit, rate in rates.items()}
        tiers.append(Tier(start, in_unit_order(rates)))
    base_rates = dict.fromkeys(PRICED, 0)
    if not tiers:
        base_rates = draw(RATES)
    return ModelPrice(
        model="acme/any",
        currency="USD",
        per=draw(DIVISORS),
        rates=in_unit_order(base_rates),
        tiers=tuple(tiers),
    )
