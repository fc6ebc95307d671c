"""The arguments of `sluice verdict`; what it writes is tested on brokers."""

import io
import sys

import pytest

from service.cli import main
from service.errors import ExitCode

FINGERPRINT = "ab" * 32


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "FINGERPRINT: a secret's fingerprint"),
        (["abc", "revoked"], "FINGERPRINT: 64 hexadecimal digits expected"),
        ([FINGERPRINT], "VERDICT: one of"),
        ([FINGERPRINT, "revoked", "--remove"], "VERDICT: one of"),
        ([FINGERPRINT, "revoked", "--until", "soon"], "--until: a date"),
        ([FINGERPRINT, "revoked", "--until", "2001-01-01"], "--until: 2001-01-01 is over"),
        (["--list", FINGERPRINT], "--list: nothing else"),
        (["-", "revoked"], "fingerprint.key: expected"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLUICE_FINGERPRINT__KEY", raising=False)
    assert main(["verdict", *arguments]) == ExitCode.failed
    assert told in capsys.readouterr().err


def test_an_empty_secret_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_FINGERPRINT__KEY", "a key for tests, and only for them")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert main(["verdict", "-", "revoked"]) == ExitCode.failed
    assert "-: a secret on standard input expected" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main(["verdict", FINGERPRINT, "revoked"]) == ExitCode.failed
    assert "127.0.0.1:1: cannot join" in capsys.readouterr().err
