"""Everything that an operator or a client can meet is documented, and nothing else: metrics,
settings, reasons, commands and their options. The pages are short and their links resolve.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client import CollectorRegistry

from gate.cli.app import app
from gate.metrics import GateMetrics
from gate.process.child_metrics import ChildMetrics
from gate.settings import Settings, env_name
from gate.v1.gate_pb2 import Reason
from meter.database.privileges import ROLES
from meter.metrics import FlusherMetrics
from meter.notifications.metrics import NotificationMetrics
from meter.payments.metrics import PaymentMetrics
from support.pages import PAGES, README, ROOT, name_of, prose_of, text_of

COMMANDS = text_of(ROOT / "docs/commands.md")
SETTINGS = text_of(ROOT / "docs/settings.md")
REFERENCE = text_of(ROOT / "docs/metrics-and-reasons.md")
ALL_PAGES = "\n".join(text_of(page) for page in PAGES)


def rows(text: str) -> dict[str, str]:
    """Rows of a document's tables, by the code in their first cell."""
    return {name: line for line in text.splitlines() for name in re.findall(r"^\| `([^`]+)`", line)}


def names_in(registry: CollectorRegistry) -> dict[str, list[str]]:
    """Metrics as Prometheus shows them, with the names of their labels."""
    collectors = set(registry._collector_to_names)
    found = {}
    for collector in collectors:
        for metric in collector.describe() if hasattr(collector, "describe") else ():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            named = [each for each in (collector, metric) if hasattr(each, "_labelnames")]
            found[name] = [label for each in named for label in each._labelnames]
    return found


@pytest.fixture
def metrics(tmp_path: Path) -> dict[str, list[str]]:
    registry = CollectorRegistry()
    GateMetrics(registry), FlusherMetrics(registry)
    PaymentMetrics(registry), NotificationMetrics(registry)
    return names_in(registry) | names_in(ChildMetrics(tmp_path / "metrics").registry)


def test_every_metric_is_in_a_table_with_its_labels(metrics: dict[str, list[str]]) -> None:
    assert len(metrics) > 25
    documented = rows(REFERENCE)
    assert metrics.keys() - documented.keys() == set()
    for name, labels in metrics.items():
        told = documented[name].split("|")[2].replace("`", "")
        assert sorted(filter(None, re.split(r"[,\s]+", told))) == sorted(labels), name


def test_no_metric_is_documented_that_does_not_exist(metrics: dict[str, list[str]]) -> None:
    told = {name for name in rows(REFERENCE) if name.startswith("creditgate_")}
    mentioned = set(
        re.findall(r"(?<![\w.])creditgate_[a-z_]+?(?=_bucket|_sum|_count|[^a-z_]|$)", ALL_PAGES)
    )
    secrets = {env_name(field).lower() for field in Settings.model_fields}
    assert (told | mentioned) - metrics.keys() - secrets - set(ROLES) == set()


def test_every_setting_is_in_the_table_and_no_other() -> None:
    told = {name for name in rows(SETTINGS) if name.startswith("CREDITGATE_")}
    assert told == {env_name(field) for field in Settings.model_fields}
    assert set(re.findall(r"CREDITGATE_[A-Z_]+[A-Z]", ALL_PAGES)) <= told


def test_the_table_tells_each_settings_true_default() -> None:
    documented = rows(SETTINGS)
    for field, info in Settings.model_fields.items():
        default = documented[env_name(field)].split("|")[2].strip().strip("`")
        if info.default_factory is None and info.default is not None:
            assert default == str(info.default), field


def test_every_reason_is_in_the_table_in_order_of_precedence() -> None:
    reasons = [name for name in Reason.keys() if name != "REASON_UNSPECIFIED"]  # noqa: SIM118  a wrapper, no dict
    assert [name for name in rows(REFERENCE) if name in reasons] == reasons


ERRORS = {
    "ServiceError",
    "InvalidField",
    "NotFound",
    "AlreadyExists",
    "FailedPrecondition",
    "OutOfRange",
    "ResourceExhausted",
    "Unauthenticated",
    "PermissionDenied",
    "Unavailable",
}


def raised_reasons() -> Iterator[str]:
    """Yields the words for machines with which the source makes its errors."""
    for path in [*(ROOT / "gate").rglob("*.py"), *(ROOT / "meter").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for value in error_arguments(node):
                word = str(getattr(value, "value", ""))
                if re.fullmatch("[A-Z][A-Z_]{4,}", word):
                    yield word


def error_arguments(node: ast.AST) -> list[ast.expr]:
    """Returns the values that an error is made with, and those that its parameters have if not
    given.
    """
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {*ERRORS, "super().__init__"}:
        return node.args
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        return node.args.defaults
    return []


def test_every_reason_that_an_error_can_have_is_documented() -> None:
    reasons = set(raised_reasons())
    assert {"UNKNOWN_MODEL", "OVERLOADED", "TEST_CLOCK", "LEDGER_UNAVAILABLE"} <= reasons, (
        "the search finds them"
    )
    assert {reason for reason in reasons if f"`{reason}`" not in REFERENCE} == set()


def test_no_reason_is_documented_that_does_not_exist() -> None:
    told = {name for name in rows(REFERENCE) if re.fullmatch("[A-Z][A-Z_]{4,}", name)}
    assert "GRANT_NOT_FOUND" in told, "the search finds them"
    assert told - set(raised_reasons()) - set(Reason.keys()) == set()


def commands(command: Any, path: str = "creditgate") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by how it is typed."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, each in command.commands.items():
        yield from commands(each, f"{path} {name}")


def options(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "option" and not each.hidden]


def described(path: str) -> str:
    """Returns the row for a command; a row may tell of several, as `a show` / `list`."""
    *parent, name = path.split()
    for line in COMMANDS.splitlines():
        if line.startswith("| `creditgate"):
            cell = line.split("|")[1]
            if f"`{path}`" in cell or (f"`{' '.join(parent)} " in cell and f"/ `{name}`" in cell):
                return line
    return ""


def commands_in(cell: str) -> list[str]:
    """Returns the commands that a row's first cell names, each as it is typed in full."""
    first, *others = re.findall("`([^`]+)`", cell)
    group = first.rpartition(" ")[0]
    return [first, *(f"{group} {name}" for name in others)]


def test_every_command_and_option_is_in_the_table() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert {"creditgate up", "creditgate account create", "creditgate replay"} <= found.keys()
    missing = []
    for path, command in found.items():
        line = described(path)
        missing += [path] * (not line)
        for name in (name for option in options(command) for name in option.opts):
            told = name in line or (name == "--json" and "`--json`" in COMMANDS)
            missing += [f"{path} {name}"] * (not told)
    assert missing == []


def test_every_command_and_option_in_the_table_exists() -> None:
    found = dict(commands(typer.main.get_command(app)))
    known = {
        name
        for command in found.values()
        for each in command.params
        for name in (*each.opts, *each.secondary_opts)
    }
    table = [line for line in COMMANDS.splitlines() if line.startswith("| `creditgate")]
    assert set(re.findall(r"--[a-z-]+", "".join(table))) - known == set()
    told = {name for line in table for name in commands_in(line.split("|")[1])}
    assert told == found.keys()


def test_every_command_says_what_it_does() -> None:
    for path, command in commands(typer.main.get_command(app)):
        assert command.help, path
        assert all(option.help for option in options(command)), path


def test_the_readme_is_short() -> None:
    assert len(text_of(README).split()) <= 500


def anchors_of(page: Path) -> set[str]:
    """Returns the anchors that a page's headings have where the page is shown."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose_of(page))
    for target in targets:
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), target
        assert not anchor or anchor in anchors_of(linked), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [README]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = re.findall(r"\]\((?!https?:)([^)#\s]+\.md)", prose_of(page))
        linked = {(page.parent / target).resolve() for target in targets}
        waiting += [found for found in linked if found not in reached]
    assert set(PAGES) - reached == set()


ROOMS = "gate|meter|proto|tests|scripts|docs|benchmarks"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_exists_and_has_what_the_page_says(page: Path) -> None:
    for path in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", prose_of(page)):
        assert (ROOT / path).exists(), path
    for path, name in re.findall(r"`([\w/]+\.py)`\s+`(\w+)`", prose_of(page)):
        assert re.search(rf"(def|class) {name}\b", text_of(ROOT / path)), (path, name)


def docstrings_of(path: Path) -> Iterator[str]:
    """Yields the docstrings of a file in Python."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, documented):
            yield ast.get_docstring(node, clean=False) or ""


def lua_comments_of(path: Path) -> Iterator[str]:
    """Yields the comments of a file in Lua, as one text."""
    yield " ".join(re.findall(r"--(.*)", text_of(path)))


def code_with_prose() -> Iterator[tuple[Path, str]]:
    """Yields what the code says in prose, by file: docstrings, and comments of the scripts."""
    for room in ROOMS.split("|"):
        for path in (ROOT / room).rglob("*.py"):
            yield from ((path, text) for text in docstrings_of(path))
    for path in (ROOT / "gate/lua").rglob("*.lua"):
        yield from ((path, text) for text in lua_comments_of(path))


def test_every_file_that_the_code_names_exists() -> None:
    named = [
        (path, target)
        for path, text in code_with_prose()
        for target in re.findall(rf"(?<![\w/.])(?:{ROOMS})/[\w./-]*\w", text)
    ]
    assert len(named) > 50, "the search finds them"
    missing = {(name_of(path), target) for path, target in named if not (ROOT / target).exists()}
    assert missing == set()


def test_a_function_that_the_code_names_with_its_file_is_there() -> None:
    named = [
        (target, name)
        for _, text in code_with_prose()
        for name, target in re.findall(rf"`(\w+)`\s+in\s+((?:{ROOMS})/[\w./-]*\w)", text)
    ]
    assert ("gate/lua/lib/journal.lua", "encode_effect") in named, "the search finds them"
    for target, name in named:
        definition = rf"(def|class|function) {name}\b"
        assert re.search(definition, text_of(ROOT / target)), (target, name)
