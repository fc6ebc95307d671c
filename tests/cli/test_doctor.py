"""``sluice doctor`` on this machine, without a broker."""

import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


class Doctor:
    """Runs the command in a clean environment, with nobody where the broker should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = secrets.token_hex(32)

    def __call__(self, settings: str = "", *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "sluice.toml").write_text(settings)
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "SLUICE_CACHE") if key in os.environ}
        fixed = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "SLUICE_FINGERPRINT__KEY": self.key, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "service", "doctor", "--config", "sluice.toml", *arguments],
            cwd=self.folder,
            env={**inherited, **fixed, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def told(self, settings: str = "", **environment: str) -> dict[str, list[dict[str, Any]]]:
        """Findings by area."""
        done = self(settings, "--format", "json", **environment)
        assert done.stderr == ""
        found: dict[str, list[dict[str, Any]]] = {}
        for finding in json.loads(done.stdout)["findings"]:
            found.setdefault(finding["area"], []).append(finding)
        return found


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)


def test_without_a_broker_all_else_is_told_and_it_ends_with_two(doctor: Doctor) -> None:
    done = doctor()

    assert (done.returncode, done.stderr) == (2, "")
    assert "127.0.0.1:1: nobody listens there" in done.stdout
    assert "→ is the broker up, and the port right?" in done.stdout
    assert done.stdout.splitlines()[-1] == "5 ok, 0 warn, 1 fail"
    assert "\x1b" not in done.stdout, "no colours in a pipe"
    assert doctor.key not in done.stdout


def test_as_json_it_tells_the_same(doctor: Doctor) -> None:
    found = doctor.told()

    assert {area: [finding["state"] for finding in findings] for area, findings in found.items()} == {
        "settings": ["ok"],
        "key": ["ok"],
        "processor": ["ok"],
        "database": ["ok"],
        "endpoint": ["ok"],
        "broker": ["fail"],
    }


def test_wrong_settings_are_told_and_nothing_after_them(doctor: Doctor) -> None:
    done = doctor("[kafka]\ngroup = 'x'")

    assert done.returncode == 2
    assert "kafka.group: there is no such key; did you mean 'group_id'?" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 ok, 0 warn, 1 fail"


@pytest.mark.parametrize(
    ("key", "state"), [("", "fail"), ("x" * 64, "warn"), ("a pass phrase of ours", "warn"), (secrets.token_hex(16), "ok")]
)
def test_a_key_that_could_be_guessed_is_told(doctor: Doctor, key: str, state: str) -> None:
    found = doctor.told(SLUICE_FINGERPRINT__KEY=key)["key"]

    assert [finding["state"] for finding in found] == [state]
    assert state == "ok" or "openssl rand -hex 32" in found[0]["advice"]
    assert not key or key not in str(found)


@pytest.mark.skipif(os.name != "posix", reason="files have no modes here")
def test_a_key_file_that_everybody_may_read_is_told(doctor: Doctor) -> None:
    (doctor.folder / "key").write_text(doctor.key)
    (doctor.folder / "key").chmod(0o644)

    found = doctor.told("[fingerprint]\nkey_file = 'key'", SLUICE_FINGERPRINT__KEY="")["key"]

    assert [finding["state"] for finding in found] == ["ok", "warn"]
    assert found[1]["advice"] == "chmod 600 key"


def test_a_cache_that_cannot_be_written_is_told(doctor: Doctor) -> None:
    (doctor.folder / "file").write_text("")

    found = doctor.told(SLUICE_CACHE=str(doctor.folder / "file" / "cache"))["database"]

    assert [finding["state"] for finding in found] == ["warn", "ok"]
    assert "SLUICE_CACHE" in found[0]["advice"]


def test_a_port_in_use_is_told(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = doctor.told(SLUICE_TELEMETRY__PORT=str(taken.getsockname()[1]))["endpoint"]

    assert [finding["state"] for finding in found] == ["warn"]


def test_a_token_in_the_clear_is_told(doctor: Doctor) -> None:
    token = secrets.token_hex(16)

    found = doctor.told("[telemetry]\nhost = '0.0.0.0'\nport = 0", SLUICE_TELEMETRY__TOKEN=token)["endpoint"]

    assert [finding["state"] for finding in found] == ["warn", "ok"]
    assert token not in str(found)
