"""``sluice check-config``: what would be used, or what is wrong, without a broker."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


class CheckConfig:
    """Runs the command on a file of these settings, in a clean environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, settings: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "SLUICE_CACHE") if key in os.environ}
        arguments = []
        if settings is not None:
            (self.folder / "sluice.toml").write_text(settings)
            arguments.append("sluice.toml")
        return subprocess.run(
            [sys.executable, "-m", "service", "check-config", *arguments],
            cwd=self.folder,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture
def check(tmp_path: Path) -> CheckConfig:
    return CheckConfig(tmp_path)


def test_without_a_file_the_defaults_are_good(check: CheckConfig) -> None:
    done = check()

    assert (done.returncode, done.stderr) == (0, "")
    assert "kafka.bootstrap_servers = 'localhost:9092'" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("good: ")
    assert "fingerprint.key is not set" in done.stdout


def test_file_and_environment_are_shown_as_they_would_be_used(check: CheckConfig) -> None:
    done = check('[kafka]\ngroup_id = "file"\nclient_id = "file"', SLUICE_KAFKA__GROUP_ID="environment")

    assert done.returncode == 0
    assert "kafka.group_id = 'environment'" in done.stdout
    assert "kafka.client_id = 'file'" in done.stdout


def test_secrets_are_not_shown(check: CheckConfig) -> None:
    key, password = secrets.token_hex(32), secrets.token_hex(16)
    (check.folder / "key").write_text(key)

    done = check(
        "[fingerprint]\nkey_file = 'key'",
        KAFKA_SASL_PASSWORD=password,
        KAFKA_SASL_USERNAME="us",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
    )

    assert done.returncode == 0
    assert "fingerprint.key = '(set)'" in done.stdout
    assert "kafka.sasl_password = '(set)'" in done.stdout
    for secret in (key, password):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("[kafka]\ngroup = 'x'", "sluice.toml: kafka.group: there is no such key; did you mean 'group_id'?"),
        ("[telemetry]\nport = 'many'", "sluice.toml: telemetry.port: Expected `int`"),
        ("[kafka", "sluice.toml: this is no TOML"),
        ("[consume]\ndrain_timeout_ms = 30000", "consume.drain_timeout_ms: less than kafka.session_timeout_ms expected"),
        ("[detect]\ndisable = ['no-such-detector']", "detect.disable: there is no detector 'no-such-detector'"),
        ("[detect]\nfolders = ['no-such-folder']", "no-such-folder: there is no such folder of detectors"),
        ("[consume.envelopes]\nlogs = 'no-such-envelope'", "consume.envelopes"),
        ("[consume]\ntopic_pattern = '('", "consume.topic_pattern"),
    ],
)
def test_what_is_wrong_is_two_and_told_in_one_line(check: CheckConfig, settings: str, told: str) -> None:
    done = check(settings)

    assert done.returncode == 2
    assert done.stderr.startswith(f"sluice: {told}")
    assert len(done.stderr.splitlines()) == 1


def test_a_secret_in_the_file_is_refused_and_not_repeated(check: CheckConfig) -> None:
    key = secrets.token_hex(32)

    done = check(f'[fingerprint]\nkey = "{key}"')

    assert done.returncode == 2
    assert "SLUICE_FINGERPRINT__KEY" in done.stderr
    assert key not in done.stdout + done.stderr


def test_a_short_fingerprint_key_is_told_before_the_start(check: CheckConfig) -> None:
    done = check(SLUICE_FINGERPRINT__KEY="short")

    assert done.returncode == 2
    assert "fingerprint.key: at least 16 bytes expected" in done.stderr


def test_the_environments_own_name_is_told(check: CheckConfig) -> None:
    done = check(SLUICE_TELEMETRY__PORT="many")

    assert done.returncode == 2
    assert done.stderr.startswith("sluice: SLUICE_TELEMETRY__PORT: telemetry.port: ")


def test_a_file_that_is_not_there_is_two(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "check-config", str(tmp_path / "none.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 2
    assert done.stderr == f"sluice: {tmp_path / 'none.toml'}: cannot be read: No such file or directory\n"
