"""The types of grants, and what each type decides.

The types are those of meter.v1.GrantType. The order of burning, which asks whether a grant is
promotional, has a second form in gate/lua/lib/grants.lua (`rank_of`).
"""

from typing import NamedTuple


class GrantTypeRules(NamedTuple):
    """Says how credits of one type are given, spent and shown."""

    name_on_invoice: str  # in the plural
    is_promotional: bool = False  # burned before paid credits, other things being equal
    always_pays_debt: bool = False  # pays overage in use, whatever the account's policy
    needs_reason: bool = False  # the description must tell the reason
    may_be_of_voucher: bool = False


GRANT_TYPES = {
    "TOP_UP": GrantTypeRules("top-ups"),
    "VOUCHER": GrantTypeRules("vouchers", is_promotional=True, may_be_of_voucher=True),
    "PROMOTION": GrantTypeRules("promotions", is_promotional=True, may_be_of_voucher=True),
    "REFUND": GrantTypeRules("refunds", always_pays_debt=True, needs_reason=True),
    "ADJUSTMENT": GrantTypeRules("adjustments", always_pays_debt=True, needs_reason=True),
}
PROMOTIONAL_TYPES = frozenset(name for name, rules in GRANT_TYPES.items() if rules.is_promotional)
VOUCHER_TYPES = tuple(name for name, rules in GRANT_TYPES.items() if rules.may_be_of_voucher)
