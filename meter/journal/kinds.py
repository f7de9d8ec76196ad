"""The kinds of effects, and what each kind does to an account."""

from enum import StrEnum
from functools import cached_property


class Kind(StrEnum):
    """Says what a script did; the value is the first token of the effect line.

    The properties are cached on each member, since every call's reply asks for some of them.
    """

    AUTHORIZE = "A"  # A hold was placed: its amount is taken from grants, and pinned.
    EXTEND = "E"  # A hold got more time, or more credits.
    DEBIT = "D"  # Usage was charged; a hold that it names ended.
    RELEASE = "R"  # A hold was given back by request.
    EXPIRE = "X"  # A hold was given back because its time was over.
    CREATE = "C"  # The account was created.
    UPDATE = "U"  # The account's settings, or one of its budgets, changed.
    CLOCK = "K"  # The account's test clock was advanced.
    GRANT = "G"  # Credits were granted; a scheduled grant adds nothing yet.
    GRANT_STARTED = "S"  # A scheduled grant became effective.
    GRANT_EXPIRED = "V"  # What was left of a grant expired.
    GRANT_VOIDED = "Z"  # Unspent credits of a grant were taken back by an administrator.
    GRANT_EXHAUSTED = "Q"  # A grant has nothing left and nothing held.
    DEBT_PAID = "P"  # A grant paid for overage in use.
    THRESHOLD = "T"  # A threshold was crossed.
    RECONCILED = "N"  # An older ledger took the account over as the store had it.
    BALANCE = "B"  # A script only looked at the account; such a line is never journaled.

    @cached_property
    def is_journaled(self) -> bool:
        return self not in (Kind.RECONCILED, Kind.BALANCE)

    @cached_property
    def spends(self) -> bool:
        """Whether the kind takes credits for usage, or sets credits aside for usage."""
        return self in (Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT)

    @cached_property
    def ends_hold(self) -> bool:
        """Whether the kind ends a hold, if the effect names a hold."""
        return self in (Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE)

    @cached_property
    def gives(self) -> bool:
        """Whether the kind adds credits to the account."""
        return self in (Kind.GRANT, Kind.GRANT_STARTED)

    @cached_property
    def retires(self) -> bool:
        """Whether the kind removes unspent credits from the account."""
        return self in (Kind.GRANT_EXPIRED, Kind.GRANT_VOIDED)

    @cached_property
    def loses(self) -> bool:
        """Whether the kind takes credits from a grant other than for usage."""
        return self.retires or self is Kind.DEBT_PAID

    @cached_property
    def takes(self) -> bool:
        """Whether the effect's amount is taken from grants."""
        return self.spends or self.retires

    @cached_property
    def returns(self) -> bool:
        """Whether credits go back to grants, or into grants."""
        return self.ends_hold or self.gives

    @cached_property
    def names_taken(self) -> bool:
        """Whether the ledger's entry keeps the grants that the effect took from."""
        return self.spends or self.loses or self is Kind.GRANT_EXHAUSTED

    @cached_property
    def matches_budgets(self) -> bool:
        """Whether the kind counts in the budgets that are on a call."""
        return self.spends or self.ends_hold

    @cached_property
    def may_cross_thresholds(self) -> bool:
        """Whether the kind uses up, or removes, credits: then a threshold may be crossed."""
        return self.retires or self is Kind.DEBIT

    @cached_property
    def is_consequence(self) -> bool:
        """Whether the effect follows by itself from another entry, or from time."""
        return self in (
            Kind.GRANT_STARTED,
            Kind.GRANT_EXPIRED,
            Kind.GRANT_EXHAUSTED,
            Kind.DEBT_PAID,
            Kind.THRESHOLD,
        )

    @cached_property
    def leaves_sums(self) -> bool:
        """Whether the account's sums stay as they are."""
        return self in (
            Kind.CREATE,
            Kind.UPDATE,
            Kind.CLOCK,
            Kind.GRANT_EXHAUSTED,
            Kind.THRESHOLD,
            Kind.RECONCILED,
            Kind.BALANCE,
        )
