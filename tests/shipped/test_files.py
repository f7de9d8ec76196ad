"""The files for operators: each is what the program that reads it takes, and true of Creditgate."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from gate.cli.app import main
from gate.cli.files import shipped_files
from gate.metrics import GateMetrics
from gate.process.child_metrics import ChildMetrics
from gate.settings import Settings, env_name
from gate.store.script_library import script_names
from meter.metrics import FlusherMetrics
from support.doors import Doors
from support.stack import free_address

pytest_plugins = ("support.running_doors",)

FILES = {name: file.read_text("utf-8") for name, file in shipped_files()}
RULES = yaml.safe_load(FILES["prometheus/rules.yaml"])["groups"][0]["rules"]
DASHBOARD = json.loads(FILES["grafana/creditgate.json"])
BIN = Path(sys.executable).parent
# Labels that Prometheus itself makes, and of histograms.
GIVEN_LABELS = {"job", "instance", "le"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All files, as an operator keeps them."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(*words: object) -> None:
    """Runs a program, which must be content."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["creditgate", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_each_file_is_printed_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = command(monkeypatch, capsys, "files")
    assert (status, set(out.split())) == (0, set(FILES))
    for name, text in FILES.items():
        assert command(monkeypatch, capsys, "files", name) == (0, text, "")
    status, _, err = command(monkeypatch, capsys, "files", "no/such.file")
    assert (status, "`creditgate files` lists all" in err) == (1, True)


def exported(tmp_path: Path) -> dict[str, set[str]]:
    """Returns the labels of every sample that the processes export, by the sample's name."""
    registry = CollectorRegistry()
    GateMetrics(registry), FlusherMetrics(registry)
    registries = (registry, ChildMetrics(tmp_path / "metrics").registry)
    found: dict[str, set[str]] = {}
    for each in registries:
        for collector in set(each._collector_to_names):
            labels = set(getattr(collector, "_labelnames", ()))
            for name in each._collector_to_names[collector]:
                found[name] = labels
    return found | {"creditgate_child_restarts_total": {"child"}}


def expressions() -> Iterator[tuple[str, str]]:
    """Yields every expression of the rules and of the panels, with the place where it stands."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def selectors(expression: str) -> list[Any]:
    found = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def test_rules_and_panels_ask_only_for_metrics_and_labels_that_there_are(tmp_path: Path) -> None:
    metrics = exported(tmp_path)
    asked = set()
    for place, expression in expressions():
        found = selectors(expression)
        assert found, place
        for selector in found:
            labels = {matcher.name for matcher in selector.matchers.matchers}
            assert selector.name in metrics, (place, selector.name)
            assert labels <= metrics[selector.name] | GIVEN_LABELS, (place, labels)
            asked.add(selector.name)
    assert len(asked) > 25, "the search finds them"
    for place, expression in expressions():
        for script in re.findall('script="([^"]+)"', expression):
            assert script in script_names(), place
        for reason in re.findall('reason="([^"]+)"', expression):
            assert reason in REASONS, place


REASONS = {"OVERLOADED"}


def test_no_account_is_in_any_rule_or_panel() -> None:
    assert not [place for place, expression in expressions() if "account" in expression]
    assert "account" not in json.dumps(DASHBOARD["templating"])


def test_every_alert_has_a_runbook_a_severity_and_a_test() -> None:
    runbooks = re.findall("^## (.+)$", FILES["runbooks.md"], re.MULTILINE)
    assert [rule["alert"] for rule in RULES] == runbooks
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket", "info")
        assert f'alertname="{rule["alert"]}"' in FILES["prometheus/rules_test.yaml"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_every_alert_fires_on_what_it_is_for_and_on_nothing_else(folder: Path) -> None:
    run("promtool", "check", "rules", folder / "prometheus/rules.yaml")
    run("promtool", "test", "rules", folder / "prometheus/rules_test.yaml")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("unit", [name for name in FILES if name.endswith(".service")])
def test_systemd_takes_the_units(folder: Path, unit: str) -> None:
    path = folder / unit
    text = path.read_text().replace("/opt/creditgate/bin/creditgate", str(BIN / "creditgate"))
    path.write_text(text)
    run("systemd-analyze", "verify", path)


def test_docker_and_compose_take_their_files(folder: Path) -> None:
    run(BIN / "hadolint", folder / "docker/Dockerfile")
    schema = ("--builtin-schema", "vendor.compose-spec")
    run(BIN / "check-jsonschema", *schema, folder / "docker/compose.yaml")


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("kubernetes/")])
def test_kubernetes_takes_the_manifests(name: str) -> None:
    for resource in yaml.safe_load_all(FILES[name]):
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_every_setting_and_command_in_the_files_exists() -> None:
    settings = {env_name(field) for field in Settings.model_fields}
    for name, text in FILES.items():
        assert set(re.findall("CREDITGATE_[A-Z_]+[A-Z]", text)) <= settings, name
        secrets = set(re.findall(r"\bcreditgate_[a-z_]+_(?:url|key)\b", text))
        assert {secret.upper() for secret in secrets} <= settings, name


def test_the_image_installs_what_the_service_needs_and_nothing_of_its_tests() -> None:
    lock = FILES["docker/requirements.lock"]
    packages = set(re.findall("^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert {"grpcio", "redis", "sqlalchemy", "uvicorn", "hatchling"} <= packages
    assert not {"pytest", "hypothesis", "ruff", "trustme"} & packages


def test_a_process_is_asked_whether_it_serves(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITGATE_LISTEN", doors.gates["native"])
    monkeypatch.setenv("CREDITGATE_BILLING_LISTEN", doors.billings["grpcio"])
    for options in ((), ("--live",), ("--billing",), ("--billing", "--live")):
        assert command(monkeypatch, capsys, "health", *options) == (0, "SERVING\n", "")
    monkeypatch.setenv("CREDITGATE_LISTEN", free_address())
    status, _, err = command(monkeypatch, capsys, "health")
    assert (status, "no service answers" in err) == (1, True)
