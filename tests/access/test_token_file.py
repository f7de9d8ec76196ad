"""The file of tokens: what it may say, how a mistake in it reads, and the commands that write it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gate.access.token_file import TokenFile, TokenFileError
from gate.cli.app import main
from gate.token_text import check_token, digest_of, new_token
from support.terminal import Done

DIGEST = "0123456789abcdef" * 4
ENTRY = f"{{name: a, sha256: '{DIGEST}', roles: [gate]}}"

Run = Callable[..., Done]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.yaml"


@pytest.fixture
def creditgate(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs `creditgate token` with the words, on the file at `path`."""
    monkeypatch.setenv("CREDITGATE_TOKENS_FILE", str(path))

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["creditgate", "token", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run


def test_a_token_is_told_from_a_mistyped_one() -> None:
    token = new_token()
    assert check_token(token) == token
    assert len({new_token() for _ in range(100)}) == 100
    swapped = token[:10] + token[10:12][::-1] + token[12:]
    for wrong in (swapped, token[:-1], f"{token}x", token[3:], "", "cg_"):
        if wrong == token:
            continue
        with pytest.raises(ValueError, match="token") as caught:
            check_token(wrong)
        assert not wrong or wrong == "cg_" or wrong not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "valid dictionary"),
        ("tokens: [}", "is no YAML"),
        ("token: []", "tokens: Field required"),
        ("tokens: [{name: a, roles: [gate]}]", "tokens[0].sha256: Field required"),
        (f"tokens: [{{name: a b, sha256: '{DIGEST}', roles: [gate]}}]", "tokens[0].name: "),
        ("tokens: [{name: a, sha256: '12', roles: [gate]}]", "tokens[0].sha256: "),
        (f"tokens: [{{name: a, sha256: '{DIGEST}', roles: []}}]", "tokens[0].roles: "),
        (f"tokens: [{{name: a, sha256: '{DIGEST}', roles: [boss]}}]", "'gate', 'read'"),
        (f"tokens: [{{name: a, sha256: '{DIGEST}', roles: [customer]}}]", "names its accounts"),
        (f"tokens: [{{name: a, sha256: '{DIGEST}', roles: [gate], accounts: []}}]", "at least one"),
        (
            f"tokens: [{{name: a, sha256: '{DIGEST}', roles: [gate], accounts: ['*x']}}]",
            "tokens[0].accounts[0]: ",
        ),
        (
            f"tokens: [{{name: a, sha256: '{DIGEST}', roles: [gate], expires_at: 2027-01-01}}]",
            "tokens[0].expires_at: ",
        ),
        (f"tokens: [{{name: a, sha256: '{DIGEST}', roles: [gate], until: x}}]", "tokens[0].until"),
        (
            f"tokens: [{ENTRY}, {ENTRY}]",
            "tokens[1].sha256: is there twice",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_of_the_mistake(
    path: Path, text: str, problem: str
) -> None:
    path.write_text(text)
    with pytest.raises(TokenFileError) as caught:
        TokenFile(path).read()
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_not_there_is_named_with_the_command_that_makes_it(path: Path) -> None:
    with pytest.raises(TokenFileError, match="creditgate token create"):
        TokenFile(path).read()


def test_a_created_token_is_printed_once_and_kept_as_its_digest(
    creditgate: Run, path: Path
) -> None:
    first = creditgate("create", "envoy", "--role", "gate").out.strip()
    second = creditgate(
        *("create", "acme-app", "--role", "customer", "--account", "acme", "--account", "acme-*"),
        *("--expires", "90d"),
    ).out.strip()
    kept = TokenFile(path).read()
    assert [token.sha256 for token in kept] == [
        digest_of(token.encode()).hex() for token in (first, second)
    ]
    assert kept[1].accounts == ("acme", "acme-*")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not {first, second} & {*path.read_text().split()}
    listed = creditgate("list").out
    assert "acme, acme-*" in listed
    assert first not in listed


def test_a_revoked_token_is_gone_and_one_of_two_can_be_told_by_its_digest(
    creditgate: Run, path: Path
) -> None:
    for _ in range(2):
        creditgate("create", "envoy", "--role", "gate")
    old, new = TokenFile(path).read()
    assert creditgate("revoke", "envoy", "--digest", old.sha256[:12]).out == "revoked 1\n"
    assert TokenFile(path).read() == [new]
    assert creditgate("revoke", "envoy").status == 0
    assert TokenFile(path).read() == []
    done = creditgate("revoke", "envoy")
    assert (done.status, "no such token of 'envoy'" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["create", "a b", "--role", "gate"], "name: "),
        (["create", "a", "--role", "customer"], "names its accounts"),
        (["create", "a", "--role", "gate", "--account", "*x"], "accounts[0]: "),
        (["create", "a", "--role", "gate", "--expires", "soon"], "--expires: "),
    ],
)
def test_a_wrong_token_is_refused_and_nothing_is_written(
    creditgate: Run, path: Path, words: list[str], problem: str
) -> None:
    done = creditgate(*words)
    assert (done.status, done.out) == (1, "")
    assert problem in done.err
    assert not path.exists()


def test_without_the_setting_the_commands_name_it(
    creditgate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDITGATE_TOKENS_FILE")
    assert "CREDITGATE_TOKENS_FILE is not set" in creditgate("list").err


def test_a_token_of_the_command_is_masked_and_a_mistyped_one_is_not_shown(
    creditgate: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = new_token()
    monkeypatch.setenv("CREDITGATE_TOKEN", token)
    monkeypatch.setattr(sys, "argv", ["creditgate", "config"])
    with pytest.raises(SystemExit):
        main()
    assert token not in capsys.readouterr().out
    os.environ["CREDITGATE_TOKEN"] = f"{token[:-1]}!"
    done = creditgate("list")
    assert "CREDITGATE_TOKEN='***': the token is mistyped" in done.err
