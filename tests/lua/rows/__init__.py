"""The Lua tables: for each script, one sentence after another about what it answers and what it
leaves behind.
"""

from collections.abc import Mapping

from lua.rows import (
    budget_values,
    budgeted_holds,
    budgets,
    burning,
    graces,
    grants,
    holds,
    refunds,
    scopes,
    spending,
    thresholds,
    upkeep,
)
from support.lua_table import Row

_THEMES = (
    spending,
    holds,
    grants,
    refunds,
    burning,
    scopes,
    graces,
    budgets,
    budgeted_holds,
    budget_values,
    thresholds,
    upkeep,
)

TABLES: Mapping[str, tuple[Row, ...]] = {
    name: tuple(row for theme in _THEMES for row in theme.TABLES.get(name, ()))
    for name in sorted({name for theme in _THEMES for name in theme.TABLES})
}
