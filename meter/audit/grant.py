"""Follows one grant along the history."""

from collections.abc import Iterable
from dataclasses import dataclass

from meter.journal.kinds import Kind
from meter.journal.operations import GrantCredits


@dataclass(slots=True)
class Grant:
    """Holds a grant along the history: the amount is left, held, spent, expired or voided."""

    number: int
    terms: GrantCredits
    state: str  # a name of meter.v1.GrantState
    left: int
    held: int = 0
    spent: int = 0
    expired: int = 0
    voided: int = 0

    @property
    def is_scoped(self) -> bool:
        return bool(self.terms.scope)

    @property
    def is_over(self) -> bool:
        return self.state not in ("SCHEDULED", "LIVE")

    def lives_at(self, ms: int) -> bool:
        """Says whether the grant's credits may be spent at that time."""
        expires_at_ms = self.terms.expires_at_ms
        return self.state == "LIVE" and (expires_at_ms is None or ms < expires_at_ms)

    def applies(self, labels: frozenset[str]) -> bool:
        """Says whether a request with these labels may use the grant.

        Of each key in the grant's scope (model, service), one label must be the request's.
        """
        scope = self.terms.scope
        matched = [label for label in scope if label in labels]
        return _keys(scope) == _keys(matched)

    def serves(self, at_ms: int, labels: frozenset[str]) -> bool:
        """Says whether a request with these labels may use the grant at that time."""
        return self.lives_at(at_ms) and self.applies(labels)

    def withdraw(self) -> None:
        """Voids the grant before it begins."""
        self.state = "VOIDED"
        self.voided = self.left
        self.left = 0

    def take(self, kind: Kind, amount: int) -> None:
        """Moves the credits taken by an effect of the given kind."""
        self.left -= amount
        match kind:
            case Kind.AUTHORIZE | Kind.EXTEND:
                self.held += amount
            case Kind.DEBIT | Kind.DEBT_PAID:
                self.spent += amount
            case Kind.GRANT_EXPIRED:
                self.expired += amount
            case Kind.GRANT_VOIDED:
                self.voided += amount


def _keys(labels: Iterable[str]) -> set[str]:
    """Returns the keys of "key=value" labels."""
    return {label.partition("=")[0] for label in labels}
