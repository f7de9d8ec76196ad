"""Defines the two usual kinds of columns of the ledger's tables."""

from typing import Any

from sqlalchemy import Column
from sqlalchemy.types import TypeEngine

ColumnType = type[TypeEngine[Any]] | TypeEngine[Any]


def key_column(name: str, type_: ColumnType) -> Column[Any]:
    """Returns a column of the primary key; the database never fills the column by itself."""
    return Column(name, type_, primary_key=True, autoincrement=False)


def required(name: str, type_: ColumnType) -> Column[Any]:
    """Returns a column that is never null."""
    return Column(name, type_, nullable=False)
