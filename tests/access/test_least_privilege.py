"""What Redis and PostgreSQL have to allow each process: enough for all of it, and nothing more."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from gate.cli.files import shipped_files
from meter.database.migrate import migrate
from meter.database.payments_schema import metadata
from meter.database.privileges import BILLING, FLUSHER, GATE, PRIVILEGES, READER, grants_sql
from support.doors import opened_doors
from support.servers import ValkeyServer, valkey_server
from support.whole_use import use_everything

pytest_plugins = ("support.ledgers",)

USERS = {"creditgate-gate": "GATES", "creditgate-flusher": "FLUSHERS"}


@pytest.fixture
def guarded_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey with the users of the shipped file, and one that may do everything."""
    text = dict(shipped_files())["redis/users.acl"].read_text()
    for user, word in USERS.items():
        text = text.replace(f"SHA256_OF_THE_{word}_PASSWORD", sha256(user.encode()).hexdigest())
    assert "SHA256" not in text
    acl = tmp_path / "users.acl"
    acl.write_text(text.replace("user default off", "user default on nopass ~* &* +@all"))
    with valkey_server(aclfile=str(acl)) as server:
        yield server


def test_the_shipped_users_of_redis_may_do_all_that_the_processes_do_and_nothing_more(
    guarded_valkey: ValkeyServer, tmp_path: Path
) -> None:
    urls = {user: f"unix://{user}:{user}@{guarded_valkey.socket}" for user in USERS}
    gate_url, flusher_url = urls.values()
    with (
        opened_doors(
            tmp_path, gate_url, transports=["native"], flusher={"redis_url": flusher_url}
        ) as doors,
        guarded_valkey.client() as root,
    ):
        client = doors.client("native", doors.tokens["admin"])
        use_everything(client)
        client.close()
        assert root.acl_log() == []
    forbidden = {
        "creditgate-gate": (
            *("FLUSHALL", "CONFIG SET maxmemory 1", "SCRIPT FLUSH", "FUNCTION FLUSH", "KEYS *"),
            *("EVAL return(1) 0", "XTRIM cg:{00}:journal MAXLEN 0", "GET foreign", "ACL LIST"),
        ),
        "creditgate-flusher": (
            *("FLUSHALL", "FCALL debit 0", "GET cg:{00}:a:x", "HSET cg:{00}:a:x status active"),
            *("HGETALL cg:{00}:a:x", "DEL cg:{00}:journal", "FUNCTION FLUSH", "ACL LIST"),
        ),
    }
    for user, commands in forbidden.items():
        with redis.Redis.from_url(urls[user]) as connection:
            for command in commands:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    connection.execute_command(*command.split())


def test_every_table_has_its_line_of_privileges() -> None:
    assert PRIVILEGES.keys() == metadata.tables.keys()


@pytest.fixture
def guarded_ledger(postgres: str) -> Iterator[dict[str, str]]:
    """A ledger under the roles: its URLs by role, each of a user that has the role alone."""
    name = "guarded"
    with psycopg.connect(postgres % "postgres", autocommit=True) as root:
        root.execute(f"CREATE DATABASE {name}".encode())
    url = postgres % name
    migrate(url)
    with psycopg.connect(url, autocommit=True) as owner:
        for _ in range(2):  # to run the statements again changes nothing
            owner.execute(grants_sql().encode())
        for role in (GATE, FLUSHER, BILLING, READER):
            owner.execute(f"CREATE ROLE user_of_{role} LOGIN IN ROLE {role}".encode())
    yield {
        role: url.replace("postgres@", f"user_of_{role}@")
        for role in (GATE, FLUSHER, BILLING, READER)
    }
    with psycopg.connect(postgres % "postgres", autocommit=True) as root:
        root.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        for role in (GATE, FLUSHER, BILLING, READER):
            root.execute(f"DROP ROLE user_of_{role}, {role}".encode())


def test_the_roles_of_postgresql_may_do_all_that_the_processes_do_and_nothing_more(
    guarded_ledger: dict[str, str], tmp_path: Path, redis_db: Any, valkey: ValkeyServer
) -> None:
    with opened_doors(
        tmp_path,
        valkey.url,
        transports=["native"],
        ledger_url=guarded_ledger[GATE],
        flusher={"ledger_url": guarded_ledger[FLUSHER]},
        billing={"ledger_url": guarded_ledger[BILLING]},
    ) as doors:
        client = doors.client("native", doors.tokens["admin"])
        use_everything(client)
        client.close()
    lasting = ("entries", "operations", "price_versions", "invoices", "invoice_lines")
    for role, url in guarded_ledger.items():
        statements = [f"DELETE FROM {table}" for table in lasting]
        statements += [f"UPDATE {table} SET {_a_column(table)} = NULL" for table in lasting]
        statements += ["DROP TABLE entries", "CREATE TABLE own (x int)", "TRUNCATE events"]
        if role != GATE:
            statements += ["DELETE FROM budgets"]
        if role not in (GATE, BILLING):
            statements += ["UPDATE top_ups SET status = 'SUCCEEDED'"]
        if role != FLUSHER:
            statements += ["DELETE FROM open_holds", "UPDATE grants SET left_nanos = 1"]
        if role == READER:
            statements += [f"INSERT INTO {table} DEFAULT VALUES" for table in PRIVILEGES]
        for statement in statements:
            with psycopg.connect(url) as connection, pytest.raises(psycopg.Error) as caught:
                connection.execute(statement.encode())
            assert isinstance(caught.value, psycopg.errors.InsufficientPrivilege), statement


def _a_column(table: str) -> str:
    return next(iter(metadata.tables[table].columns)).name
