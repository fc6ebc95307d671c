"""What operators install: the image, the compose file, the chart, the unit; each held against the service itself."""

import configparser
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import settings
from service.settings import Settings
from tests.conftest import missing

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "sluice"
HELM = shutil.which("helm") or shutil.which("helm", path=str(ROOT / ".cache" / "tools"))
EXECUTABLE = re.compile(r"PROT_[A-Z_|]*WRITE[A-Z_|]*EXEC|mprotect\([^)]*PROT_EXEC")


def pinned(path: Path) -> dict[str, set[str]]:
    """Versions and digests by name."""
    found: dict[str, set[str]] = {}
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        if match := re.match(r"([a-z0-9-]+)==(\S+)", entry):
            found[match[1]] = {match[2], *re.findall(r"sha256:[0-9a-f]{64}", entry)}
    return found


def test_what_is_installed_is_what_was_tested() -> None:
    tested, installed = pinned(ROOT / "constraints.txt"), pinned(DEPLOY / "requirements.txt")

    assert installed.items() <= tested.items()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[<>=;! ]", entry)[0].lower() for entry in declared}
    assert names <= installed.keys()
    assert all(len(told) > 1 for told in installed.values()), "each with its digests"


def test_the_image_runs_as_nobody_in_particular_and_takes_in_all_that_it_needs() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    instructions = [line.split(None, 1) for line in lines if re.match(r"[A-Z]+ ", line)]
    last = max(number for number, (name, _) in enumerate(instructions) if name == "FROM")
    final = dict(instructions[last:])

    assert final["USER"] == "10001:10001"
    assert json.loads(final["ENTRYPOINT"]) == ["sluice"]
    assert not {"curl", "wget", "git"} & set(" ".join(lines).split())
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name, rest in instructions:
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert source in let_in
                assert (ROOT / source).exists()
    assert all("--require-hashes" in line for line in lines if "pip install" in line and "-r" in line.split())


def test_the_compose_file_is_closed_and_its_settings_are_good() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    sluice = compose["services"]["sluice"]

    for name in ("sluice", "prometheus", "grafana"):
        assert compose["services"][name]["read_only"] is True
        assert compose["services"][name]["cap_drop"] == ["ALL"]
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert re.search(r":v?\d", service["image"]) or "build" in service, "a version is named"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists()
    assert f"seccomp=./{(DEPLOY / 'seccomp.json').name}" in sluice["security_opt"]
    environment = dict.fromkeys(sluice["environment"], "x" * 64)
    loaded = settings.load(DEPLOY / "compose" / "sluice.toml", environment)
    grace = int(sluice["stop_grace_period"].removesuffix("s"))
    assert grace > loaded.consume.drain_timeout_ms / 1000 + 10


def test_the_unit_is_hardened_and_starts_what_there_is() -> None:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "systemd" / "sluice.service")
    service = dict(unit["Service"])

    hardened = {"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "MemoryDenyWriteExecute", "LockPersonality"}
    assert {service[key] for key in hardened} == {"yes"}
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"], service["UMask"]) == ("strict", "", "0077")
    text = (DEPLOY / "systemd" / "sluice.service").read_text()
    for section, key in re.findall(r"SLUICE_([A-Z]+)__([A-Z_]+)=", text):
        assert hasattr(getattr(Settings(), section.lower()), key.lower())
    for command in re.findall(r"^Exec\w+=/opt/sluice/bin/sluice (\S+)", text, re.MULTILINE):
        assert (ROOT / "service" / "cli" / f"{command.replace('-', '_')}.py").exists()
    assert int(service["TimeoutStopSec"]) > Settings().consume.drain_timeout_ms / 1000 + 10


@pytest.mark.skipif(sys.platform != "linux", reason="of the Linux kernel")
def test_no_memory_is_ever_writable_and_executable(tmp_path: Path) -> None:
    """What ``MemoryDenyWriteExecute`` forbids is not done: the engine makes no code at run time."""
    strace = shutil.which("strace")
    if strace is None:
        missing("strace is missing: make tools")
    (tmp_path / "clean.txt").write_text("nothing at all\n")
    told = tmp_path / "calls"
    done = subprocess.run(
        [
            *(str(strace), "-f", "-qq", "-e", "trace=mmap,mprotect,pkey_mprotect", "-o", str(told)),
            *(sys.executable, "-m", "service", "scan", str(tmp_path / "clean.txt")),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    calls = told.read_text()
    assert calls.count("mmap(") > 100
    assert not EXECUTABLE.search(calls)


# -- the chart -----------------------------------------------------------------------------------------------------------


def test_every_value_that_a_template_asks_for_is_there_and_every_one_is_used() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    asked = set(re.findall(r"(?:\$)?\.Values\.([A-Za-z.]+)", text)) | set(re.findall(r'"([a-zA-Z]+)"', text)) & values.keys()

    for path in asked:
        at: Any = values
        for key in path.split("."):
            if not isinstance(at, dict) or key not in at:
                assert at == {} or "config" in path, path
                break
            at = at[key]
    assert {path.split(".")[0] for path in asked} >= values.keys()


def test_the_chart_gives_pods_longer_than_they_need_to_drain() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    drain = int(re.findall(r'"drain_timeout_ms" (\d+)', (CHART / "templates" / "_helpers.tpl").read_text())[0])

    assert values["terminationGracePeriodSeconds"] > drain / 1000 + 10
    assert values["podSecurityContext"]["runAsNonRoot"] is True
    assert values["securityContext"]["readOnlyRootFilesystem"] is True
    assert values["securityContext"]["capabilities"] == {"drop": ["ALL"]}


if HELM:  # the real one, where it is at hand; it comes with no package that every machine has
    CASES = sorted(path.name for path in (CHART / "ci").iterdir())

    def render(*options: str) -> subprocess.CompletedProcess[str]:
        command = [str(HELM), *options, "--kube-version", "1.30.0"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    @pytest.mark.parametrize("case", CASES)
    def test_helm_takes_the_chart_and_the_service_its_settings(case: str, tmp_path: Path) -> None:
        values = str(CHART / "ci" / case)
        linted = render("lint", "--strict", str(CHART), "-f", values)
        done = render("template", "test", str(CHART), "-f", values)
        assert linted.returncode == 0, linted.stdout
        assert done.returncode == 0, done.stderr
        objects = [one for one in yaml.safe_load_all(done.stdout) if one]
        by_kind = {one["kind"]: one for one in objects}
        config = next(one for one in objects if one["kind"] == "ConfigMap" and "sluice.toml" in one["data"])
        (tmp_path / "sluice.toml").write_text(config["data"]["sluice.toml"])

        loaded = settings.load(tmp_path / "sluice.toml", {"SLUICE_TELEMETRY__TOKEN": "x" * 64})
        pod = by_kind["StatefulSet"]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert loaded.telemetry.host == "0.0.0.0"
        assert mounts == {volume["name"] for volume in pod["volumes"]}
        assert len({(one["kind"], one["metadata"]["name"]) for one in objects}) == len(objects)
        if case == "all-values.yaml":
            assert loaded.consume.envelopes == {"git.events": "native"}
            assert loaded.consume.max_in_flight == 20_000
            assert {group["name"] for group in by_kind["PrometheusRule"]["spec"]["groups"]} == {"sluice"}
            assert by_kind["ScaledObject"]["spec"]["triggers"][0]["metadata"]["lagThreshold"] == "1000000"
            assert "replicas" not in by_kind["StatefulSet"]["spec"]

    def test_helm_says_what_is_missing() -> None:
        done = render("template", "test", str(CHART))

        assert done.returncode != 0
        assert "existingSecret: the name of a Secret expected" in done.stderr
