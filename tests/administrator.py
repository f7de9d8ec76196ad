"""The operations of an administrator in random sequences: each is applied by the gate, and done by the model."""

from dataclasses import dataclass, field
from typing import Any

from dice import BUDGETS, CLOCKS, FACETS, GRANTED, PRICES, SCOPES, TYPES, Dice
from in_process import InProcessGate
from model import DAY_MS, MOST, MOST_OF_A_SETTING, Account, Model, window_of

from meter.operations import AdvanceClock, Change, Create, DeleteBudget, GrantCredits, SetBudget, Update, VoidGrant

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

    async def _create(self, account_id: str, dice: Dice) -> None:
        clock_ms = dice.pick(CLOCKS)
        overage, limit = dice.pick((0, 0, 50, 10**10)), dice.pick((None, None, 100, 10**10, 2**60))
        currency = dice.pick(("USD",) * 7 + ("EUR",))
        await self._apply(account_id, Create(currency, overage, limit, clock_ms, graces=dice.graces()))
        amount = dice.pick((1000, 100, 10**10, 2**53 + 1, 1, 2**61))
        await self._apply(account_id, GrantCredits("g1", "TOP_UP", amount, 50, None, None, ""))
        for _ in range(dice.number(4)):
            await self._set_budget(account_id, dice)
        if dice.number(2):
            await self._updated(account_id, levels=dice.levels(self.model.accounts[account_id]))

    async def _advance(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        await self._apply(account_id, AdvanceClock(dice.moment(self.model.accounts[account_id])))

    async def _grant(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        account = self.model.accounts[account_id]
        most = MOST_RECORDED - account.overage - sum(grant.amount for grant in account.grants.values())
        if most < 1:
            return
        owed = max(1, -account.spendable)
        amount = max(1, min(most, dice.pick((*GRANTED, owed, owed + 1, max(1, account.debt)))))
        if dice.number(40) == 1:
            amount = most
        kind, scope = dice.pick(TYPES), dice.pick(SCOPES)
        next_day_ms = (account.day + 1) * DAY_MS
        effective_ms = dice.pick((None, None, None, None, account.clock_ms, account.clock_ms + 1, next_day_ms))
        begins_ms = max(account.clock_ms, effective_ms or 0)
        month_ms = (window_of("month", account.day)[1] or 0) * DAY_MS
        expires_ms = dice.pick(
            (None, begins_ms + 1, *[begins_ms + 1000, begins_ms + 5000] * 2, next_day_ms, month_ms, None)
        )
        if expires_ms is not None and expires_ms <= begins_ms:
            expires_ms = begins_ms + 1
        pays = not scope and (kind in ("REFUND", "ADJUSTMENT") or (kind == "TOP_UP" and dice.number(2) == 0))
        levels = dice.levels(account) if dice.number(8) == 1 else None
        priority = dice.pick((50, 50, 0, 10, 1000))
        await self._apply(
            account_id,
            GrantCredits("g1", kind, amount, priority, effective_ms, expires_ms, "", "", scope, pays, levels=levels),
        )

    async def _void(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        account = self.model.accounts[account_id]
        grant = account.grants[dice.pick(sorted(account.grants, reverse=True))]
        left = account.left().get(grant.number, 0)
        amount = dice.pick((None, None, 1, max(1, left), left + 1, max(1, left // 2)))
        if not grant.begun:
            amount = None
        await self._apply(account_id, VoidGrant(grant.number, "g1", amount, "VOID", "why"))

    async def _update(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        account = self.model.accounts[account_id]
        if account.suspended:
            await self._updated(account_id, status="active")
        match dice.number(6):
            case 0:
                overage = dice.pick((0, 7, 50, 10**10, MOST_OF_A_SETTING))
                limit = dice.pick((None, None, 0, 100, 10**10, 10**11, MOST_OF_A_SETTING))
                await self._updated(account_id, overage=overage, limit=limit)
            case 1:
                limit = account.used_on(account.day) + dice.pick((0, 5, 100))
                await self._updated(account_id, limit=min(limit, MOST_OF_A_SETTING))
            case 2 | 3:
                await self._updated(account_id, levels=dice.levels(account))
            case 4:
                await self._updated(account_id, graces=dice.graces())
            case _:
                await self._updated(account_id, spend_management=not account.spend_management)

    async def _suspend(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        suspended = self.model.accounts[account_id].suspended
        await self._updated(account_id, status="active" if suspended else "suspended")

    async def _updated(self, account_id: str, **changes: Any) -> None:
        account = self.model.accounts[account_id]
        settings = _settings_of(account) | changes
        if sum(grant.amount for grant in account.grants.values()) + settings["overage"] > MOST_RECORDED:
            return
        await self._apply(account_id, Update(*settings.values()))

    async def _budget(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        known = self.model.accounts[account_id].budgets
        if known and dice.number(5) == 1:
            budget = known[dice.pick(sorted(known))]
            await self._apply(account_id, DeleteBudget(budget.budget_id, budget.facets))
        else:
            await self._set_budget(account_id, dice)

    async def _set_budget(self, account_id: str, dice: Dice) -> None:
        """A new one, another one in the place of one that there is, or the same one with other bounds."""
        account = self.model.accounts[account_id]
        budget_id, facets = dice.pick(BUDGETS), dice.pick(FACETS)
        window = dice.pick(("day", "lifetime", "week", "month", "day"))
        known = account.budgets.get(budget_id)
        if known and dice.number(4):
            facets, window = known.facets, known.window
        anew = known is None or (facets, window) != (known.facets, known.window)
        used = account.used_in(known.now(account.day)) if known else 0
        limit = min(MOST_OF_A_SETTING, dice.pick((100, 0, 10, used, used + 10, 10**10, used + 1, MOST_OF_A_SETTING)))
        levels = dice.pick(((), (1, 2), (limit // 2, limit), (limit,), (used + 1, used + 7, used + 50)))
        names = tuple((f"t{n}", nanos) for n, nanos in enumerate(sorted({nanos for nanos in levels if nanos})))
        replaces = known.facets if known and facets != known.facets else ()
        hard = dice.number(4) != 1
        await self._apply(account_id, SetBudget(budget_id, facets, window, hard, limit, names, anew, replaces))

    async def _again(self, dice: Dice) -> None:
        """An operation that is applied already, as after a crash."""
        await self.gate.apply(self._pick_account(dice), GrantCredits("g1", "TOP_UP", 5, 50, None, None, ""), again=True)

    async def _turn(self, dice: Dice) -> None:
        """What the reaper does, so that grants begin and expire though nobody calls."""
        account_id = self._pick_account(dice)
        await self.gate.store.turn(account_id)
        self.model.turn(account_id)

    def _pick_account(self, dice: Dice) -> str:
        return f"{self.name}-{dice.pick((0, 0, 0, 0, 1, 2))}"


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
