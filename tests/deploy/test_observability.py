"""Rules, dashboard and endpoint as Prometheus and Grafana take them: every metric that is named exists."""

import asyncio
import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client import Counter, Histogram

from service.settings import Settings, Telemetry
from service.sources.embedded_broker import free_port
from service.telemetry.metrics import DECLARED, Metrics
from service.telemetry.server import Server
from tests.conftest import missing, started

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"] for rule in group["rules"]
]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "sluice.json").read_text())
NOT_OURS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes"}
WORKERS = "worker"
"""The label that tells workers apart, on gauges that are not added up and on what the process tells of itself."""


def samples() -> dict[str, set[str]]:
    """Names of samples and their labels, as the service tells them."""
    found: dict[str, set[str]] = {}
    for name, declared in DECLARED.items():
        labels = {*declared.labels, *({WORKERS} if declared.kind is not Counter else ())}
        if declared.kind is Histogram:
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is missing: make tools")
    return str(found)


@pytest.mark.parametrize(("what", "expression"), list(expressions()))
def test_metrics_and_labels_that_are_named_exist(what: str, expression: str) -> None:
    known = samples()
    bare = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"\b(?:sluice|process)_[a-z_]+\b|\bup\b", bare))
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", bare))
    labels |= {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", bare) for label in group.split(",")}

    assert names, "an expression without a metric"
    assert names <= known.keys() | NOT_OURS
    of_these = set().union(*(known.get(name, {WORKERS}) for name in names))
    assert labels <= of_these | {"job", "instance"}


def test_rules_say_what_is_wrong_and_what_to_do() -> None:
    for rule in RULES:
        assert re.fullmatch(r"Sluice[A-Z][A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")


def test_settings_that_rules_name_exist() -> None:
    known = Settings()
    for rule in RULES:
        for section, key in re.findall(r"\b([a-z_]+)\.([a-z_]+)\b", rule["annotations"]["description"]):
            assert hasattr(getattr(known, section), key)


def test_reasons_and_outcomes_that_rules_name_are_those_of_the_service() -> None:
    told = " ".join(path.read_text() for path in (DEPLOY.parent / "service").rglob("*.py"))
    for rule in RULES:
        for value in re.findall(r'(?:outcome|cause|validity)=~?"([^"]*)"', rule["expr"]):
            for word in value.split("|"):
                assert f'"{word}"' in told


def test_promtool_takes_the_rules_and_they_fire_when_they_should() -> None:
    promtool = tool("promtool")
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run([promtool, *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one() -> None:
    panels = BOARD["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    taken = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(taken) == len(set(taken)), "panels lie over each other"
    assert all(at["x"] + at["w"] <= 24 for at in places)
    assert {variable["name"] for variable in BOARD["templating"]["list"]} == {"datasource", "job"}


async def test_prometheus_scrapes_the_endpoint_with_the_token(tmp_path: Path) -> None:
    prometheus = tool("prometheus")
    token, port = secrets.token_hex(16), free_port()
    metrics = Metrics()
    metrics.count("sluice_consume_records_total", 42, topic="events")
    metrics.observe("sluice_detect_seconds", 0.003)
    server = Server(metrics.expose, dict, dict, {})
    await server.start(Telemetry(port=0, token=token))
    (tmp_path / "token").write_text(token)
    configured = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    configured["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    configured["rule_files"] = [str(DEPLOY / "prometheus" / "rules.yaml")]
    job = configured["scrape_configs"][0]
    job["authorization"]["credentials_file"] = str(tmp_path / "token")
    job["static_configs"] = [{"targets": [f"127.0.0.1:{server.port}"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configured))
    options = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    process = started([prometheus, *options, f"--web.listen-address=127.0.0.1:{port}"], tmp_path / "log", cwd=tmp_path)

    async def ask(expression: str) -> list[Any]:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/api/v1/query"
            async with session.get(url, params={"query": expression}) as answer:
                result: list[Any] = (await answer.json())["data"]["result"]
                return result

    try:
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            try:
                if (found := await ask("sluice_consume_records_total")) and await ask("sluice_detect_seconds_count"):
                    break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.3)
        assert [(one["metric"]["topic"], one["value"][1]) for one in found] == [("events", "42")]
        for _, expression in expressions():  # all of them are taken by the real parser
            written = expression.replace("$job", ".*").replace("$__rate_interval", "1m").replace("$__interval", "1m")
            await ask(written.replace("$__range", "1h"))
    finally:
        process.terminate()
        process.wait(20)
        await server.stop()
