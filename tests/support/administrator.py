"""The operations of an administrator in random sequences: each is applied by the gate, and done by
the model.
"""

from dataclasses import dataclass, field
from typing import Any

from meter.journal.operations import (
    AdvanceClock,
    Change,
    Create,
    DeleteBudget,
    GrantCredits,
    SetBudget,
    Update,
    VoidGrant,
)
from model import DAY_MS, MOST, MOST_OF_A_SETTING, Account, Model, window_of
from support.in_process import InProcessGate
from support.random_values import (
    BUDGETS,
    CLOCKS,
    GRANTED,
    LABELS,
    PRICES,
    SCOPES,
    TYPES,
    RandomValues,
)

MOST_RECORDED = (
    MOST - MOST_OF_A_SETTING
)  # of grants and overage protection together: what a grace carries fits beside them


@dataclass
class Administrator:
    """Does nothing that the ledger would not record."""

    gate: InProcessGate
    name: str
    model: Model = field(default_factory=lambda: Model(PRICES), kw_only=True)

    async def _apply(self, account_id: str, change: Change) -> None:
        number = await self.gate.apply(account_id, change)
        self.model.apply(account_id, number, change)

    async def _create(self, account_id: str, random_values: RandomValues) -> None:
        clock_ms = random_values.pick(CLOCKS)
        overage = random_values.pick((0, 0, 50, 10**10))
        limit = random_values.pick((None, None, 100, 10**10, 2**60))
        currency = random_values.pick(("USD",) * 7 + ("EUR",))
        await self._apply(
            account_id, Create(currency, overage, limit, clock_ms, graces=random_values.graces())
        )
        amount = random_values.pick((1000, 100, 10**10, 2**53 + 1, 1, 2**61))
        await self._apply(account_id, GrantCredits("g1", "TOP_UP", amount, 50, None, None, ""))
        for _ in range(random_values.number(4)):
            await self._set_budget(account_id, random_values)
        if random_values.number(2):
            await self._updated(
                account_id, levels=random_values.levels(self.model.accounts[account_id])
            )

    async def _advance(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        await self._apply(
            account_id, AdvanceClock(random_values.moment(self.model.accounts[account_id]))
        )

    async def _grant(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        account = self.model.accounts[account_id]
        if random_values.number(6) == 1:
            await self._refund(account_id, random_values)
            return
        most = (
            MOST_RECORDED - account.overage - sum(grant.amount for grant in account.grants.values())
        )
        if most < 1:
            return
        owed = max(1, -account.spendable)
        amount = max(
            1, min(most, random_values.pick((*GRANTED, owed, owed + 1, max(1, account.debt))))
        )
        if random_values.number(40) == 1:
            amount = most
        kind = random_values.pick(TYPES)
        scope = random_values.pick(SCOPES)
        next_day_ms = (account.day + 1) * DAY_MS
        effective_ms = random_values.pick(
            (None, None, None, None, account.clock_ms, account.clock_ms + 1, next_day_ms)
        )
        begins_ms = max(account.clock_ms, effective_ms or 0)
        month_ms = (window_of("month", account.day)[1] or 0) * DAY_MS
        expires_ms = random_values.pick(
            (
                None,
                begins_ms + 1,
                *[begins_ms + 1000, begins_ms + 5000] * 2,
                next_day_ms,
                month_ms,
                None,
            )
        )
        if expires_ms is not None and expires_ms <= begins_ms:
            expires_ms = begins_ms + 1
        pays = not scope and (
            kind in ("REFUND", "ADJUSTMENT") or (kind == "TOP_UP" and random_values.number(2) == 0)
        )
        levels = random_values.levels(account) if random_values.number(8) == 1 else None
        priority = random_values.pick((50, 50, 0, 10, 1000))
        await self._apply(
            account_id,
            GrantCredits(
                "g1",
                kind,
                amount,
                priority,
                effective_ms,
                expires_ms,
                "",
                "",
                scope,
                pays,
                levels=levels,
            ),
        )

    async def _refund(self, account_id: str, random_values: RandomValues) -> None:
        """As the ledger does for a request that was charged twice; each charge is given back
        once.
        """
        account = self.model.accounts[account_id]
        charges = [
            charge for charge in account.charges[-3:] if charge.amount and not charge.given_back
        ]
        granted = sum(grant.amount for grant in account.grants.values())
        most = MOST_RECORDED - account.overage - granted
        if not charges or max(charge.amount for charge in charges) > most:
            return
        charge = random_values.pick(charges)
        charge.given_back = True
        ids = {budget.number: budget.budget_id for budget in account.budgets.values()}
        counted = (
            f"{ids.get(window.number, 'gone')}{window.value},{window.start_hour},{window.number}"
            for window in charge.windows
        )
        await self._apply(
            account_id,
            GrantCredits(
                "g1",
                "REFUND",
                charge.amount,
                0,
                None,
                None,
                "",
                "0-1-1",
                pays_debt=True,
                refund_day=charge.day,
                refund_charged_day=charge.charged_day,
                refund_budgets=";".join(counted) or "-",
            ),
        )

    async def _void(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        account = self.model.accounts[account_id]
        grant = account.grants[random_values.pick(sorted(account.grants, reverse=True))]
        left = account.left().get(grant.number, 0)
        amount = random_values.pick((None, None, 1, max(1, left), left + 1, max(1, left // 2)))
        if not grant.begun:
            amount = None
        await self._apply(account_id, VoidGrant(grant.number, "g1", amount, "VOID", "why"))

    async def _update(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        account = self.model.accounts[account_id]
        if account.suspended:
            await self._updated(account_id, status="active")
        match random_values.number(6):
            case 0:
                overage = random_values.pick((0, 7, 50, 10**10, MOST_OF_A_SETTING))
                limit = random_values.pick((None, None, 0, 100, 10**10, 10**11, MOST_OF_A_SETTING))
                await self._updated(account_id, overage=overage, limit=limit)
            case 1:
                limit = account.used_on(account.day) + random_values.pick((0, 5, 100))
                await self._updated(account_id, limit=min(limit, MOST_OF_A_SETTING))
            case 2 | 3:
                await self._updated(account_id, levels=random_values.levels(account))
            case 4:
                await self._updated(account_id, graces=random_values.graces())
            case _:
                await self._updated(account_id, spend_management=not account.spend_management)

    async def _suspend(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        suspended = self.model.accounts[account_id].suspended
        await self._updated(account_id, status="active" if suspended else "suspended")

    async def _updated(self, account_id: str, **changes: Any) -> None:
        account = self.model.accounts[account_id]
        settings = _settings_of(account) | changes
        if (
            sum(grant.amount for grant in account.grants.values()) + settings["overage"]
            > MOST_RECORDED
        ):
            return
        await self._apply(account_id, Update(*settings.values()))

    async def _budget(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        known = self.model.accounts[account_id].budgets
        if known and random_values.number(5) == 1:
            budget = known[random_values.pick(sorted(known))]
            await self._apply(account_id, DeleteBudget(budget.budget_id, budget.labels))
        else:
            await self._set_budget(account_id, random_values)

    async def _set_budget(self, account_id: str, random_values: RandomValues) -> None:
        """A new one, another one in the place of one that there is, or the same one with
        other bounds.
        """
        account = self.model.accounts[account_id]
        budget_id = random_values.pick(BUDGETS)
        labels = random_values.pick(LABELS)
        window = random_values.pick(("day", "lifetime", "week", "month", "hour"))
        known = account.budgets.get(budget_id)
        if known and random_values.number(4):
            labels = known.labels
            window = known.window
        anew = known is None or (labels, window) != (known.labels, known.window)
        used = account.used_in(known.now(account.hour)) if known else 0
        limit = min(
            MOST_OF_A_SETTING,
            random_values.pick((100, 0, 10, used, used + 10, 10**10, used + 1, MOST_OF_A_SETTING)),
        )
        levels = random_values.pick(
            ((), (1, 2), (limit // 2, limit), (limit,), (used + 1, used + 7, used + 50))
        )
        names = tuple(
            (f"t{n}", nanos) for n, nanos in enumerate(sorted({nanos for nanos in levels if nanos}))
        )
        replaces = known.labels if known and labels != known.labels else ()
        hard = random_values.number(4) != 1
        await self._apply(
            account_id, SetBudget(budget_id, labels, window, hard, limit, names, anew, replaces)
        )

    async def _again(self, random_values: RandomValues) -> None:
        """An operation that is applied already, as after a crash."""
        await self.gate.apply(
            self._pick_account(random_values),
            GrantCredits("g1", "TOP_UP", 5, 50, None, None, ""),
            again=True,
        )

    async def _process_due_grants(self, random_values: RandomValues) -> None:
        """What the reaper does, so that grants begin and expire though nobody calls."""
        account_id = self._pick_account(random_values)
        await self.gate.store.expiry.process_due_grants(account_id)
        self.model.process_due_grants(account_id)

    def _pick_account(self, random_values: RandomValues) -> str:
        return f"{self.name}-{random_values.pick((0, 0, 0, 0, 1, 2))}"


def _settings_of(account: Account) -> dict[str, Any]:
    """As an Update names them, in its order."""
    return {
        "status": "suspended" if account.suspended else "active",
        "overage": account.overage,
        "limit": account.limit,
        "spend_management": account.spend_management,
        "levels": account.levels,
        "graces": tuple(account.graces.values()),
    }
