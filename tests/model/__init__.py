"""The gate in plain Python, by its contract alone: it knows no store and no script, and keeps
nothing that can be summed up.

Only the ids of holds come from outside, since nobody can foretell them.
"""

from model.account import Account
from model.calls import Model
from model.days import DAY_MS, month_of, ms_of, window_of
from model.facts import (
    DEBT_FLOOR,
    MOST,
    MOST_OF_A_SETTING,
    OVERAGE,
    Charge,
    Grant,
    Hold,
    Line,
    Refused,
)
from model.prices import Price

__all__ = [
    "DAY_MS",
    "DEBT_FLOOR",
    "MOST",
    "MOST_OF_A_SETTING",
    "OVERAGE",
    "Account",
    "Charge",
    "Grant",
    "Hold",
    "Line",
    "Model",
    "Price",
    "Refused",
    "month_of",
    "ms_of",
    "window_of",
]
