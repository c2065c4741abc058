"""Rules and dashboard: each query names metrics and labels that the service's registry exports."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml

from service.expiry import Expiring
from service.settings import Settings
from service.shadow import ShadowMetrics
from service.telemetry import Part, Telemetry

DOCKER = Path(__file__).parents[2] / "docker"
PROMETHEUS = DOCKER / "prometheus"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "ecg.json").read_text())
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
FROM_PROMETHEUS = {"up"}


def exported() -> set[str]:
    """Names under which the registry's series appear in Prometheus."""
    registry = Telemetry().registry
    ShadowMetrics(registry)
    families = registry.collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def panel_queries() -> Iterator[tuple[str, str]]:
    """Title and query of each panel's targets."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def named(query: str) -> set[str]:
    """Metrics that a query names: words outside braces, brackets and label lists that are no function of PromQL."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on|group_left)\s*\([^)]*\)", " ", query)
    return {word for word in re.findall(r"[a-zA-Z_:][\w:]*", bare) if word.startswith("ecg") or word == "up"}


@pytest.mark.parametrize(("title", "query"), list(panel_queries()))
def test_panels_name_metrics_that_are_exported(title: str, query: str) -> None:
    assert named(query), title
    assert named(query) <= exported()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_metrics_that_are_exported_or_recorded(rule: dict[str, str]) -> None:
    recorded = {other["record"] for other in RULES if "record" in other}
    assert named(rule["expr"])
    assert named(rule["expr"]) <= exported() | recorded | FROM_PROMETHEUS


def test_the_check_itself_finds_a_metric_that_is_not_exported() -> None:
    assert named('sum by (le) (rate(ecg_nonsense_total{route="x"}[5m])) / ecg_ready') - exported() == {
        "ecg_nonsense_total"
    }


def test_every_metric_is_shown_on_the_dashboard() -> None:
    shown = set().union(*(named(query) for _, query in panel_queries()))
    unseen = [
        family.name
        for family in Telemetry().registry.collect()
        if not shown & {family.name + suffix for suffix in SUFFIXES[family.type]}
    ]
    assert unseen == []


def test_panels_do_not_overlap_and_have_their_own_ids() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for panel in panels
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(column < 24 for column, _ in cells)


def test_the_dashboard_asks_the_provisioned_datasource() -> None:
    path = DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    uids = {source["uid"] for source in yaml.safe_load(path.read_text())["datasources"]}
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == uids


def test_each_alert_has_a_test_of_its_own() -> None:
    tests = (PROMETHEUS / "rules_test.yml").read_text() + (PROMETHEUS / "drift_test.yml").read_text()
    alerts = {rule["alert"] for rule in RULES if "alert" in rule}
    assert {name for name in alerts if f"alertname: {name}\n        exp_alerts:\n" not in tests} == set()


def test_each_alert_leads_to_its_entry_in_the_runbook() -> None:
    headings = {line[3:].lower() for line in (DOCKER / "RUNBOOK.md").read_text().splitlines() if line.startswith("## ")}
    for rule in RULES:
        if "alert" in rule:
            assert rule["annotations"]["runbook"] == f"docker/RUNBOOK.md#{rule['alert'].lower()}"
            assert rule["alert"].lower() in headings


def test_the_runbook_names_what_there_is() -> None:
    text = (DOCKER / "RUNBOOK.md").read_text()
    settings = {f"ECG_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"`(ECG_[A-Z_]+)`", text)) <= settings
    titles = {title for title, _ in panel_queries()}
    assert set(re.findall(r"anel \*\*([^*]+)\*\*", text)) <= titles
    parts = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert parts == set(get_args(Part)) | set(get_args(Expiring))
    anchors = {f"#{name}" for name in re.findall(r"^## (\w+)$", text.lower(), re.MULTILINE)}
    assert set(re.findall(r"\]\((#\w+)\)", text)) <= anchors


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml", "drift_test.yml"],
    ],
    ids=["config", "rules", "alerts"],
)
def test_promtool_accepts_it(command: list[str]) -> None:
    done = subprocess.run(["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
