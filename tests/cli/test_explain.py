"""``sluice explain``: a playbook in four formats, with the place of an alert, and near names for a wrong one."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import cli

ALERT: dict[str, Any] = {
    "schema": "sluice.alert/1",
    "detector": {"id": "wepay-access-token"},
    "confidence": "high",
    "validity": "active",
    "secret": {"redacted": "production_****", "fingerprint": "abc", "length": 60},
    "location": {"type": "code", "repository": "acme/shop", "path": "lib/pay.rb", "line": 3},
    "occurrences": 2,
    "first_seen": "2026-01-02T03:04:05Z",
    "last_seen": "2026-01-02T03:04:05Z",
}


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = cli.main(["explain", *arguments])
    told = capsys.readouterr()
    assert status == 0, told.err
    return told.out


def test_a_playbook_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    said = explain(capsys, "wepay-access-token")

    assert said.startswith("WePay access token")
    assert "WePay Partner Center > the app > App tokens" in said
    assert 'os.environ.get("WEPAY_ACCESS_TOKEN"' in said
    assert "import java" not in said
    assert "\x1b" not in said


def test_languages_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert 'System.getenv("WEPAY_ACCESS_TOKEN")' in explain(capsys, "wepay-access-token", "--language", "java")


def test_markdown_has_a_heading_for_each_section(capsys: pytest.CaptureFixture[str]) -> None:
    said = explain(capsys, "wepay-access-token", "--format", "markdown")

    assert said.startswith("# WePay access token")
    assert said.count("\n## ") >= 11
    assert "```go\n" in said


def test_html_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    said = explain(capsys, "wepay-access-token", "--format", "html")

    assert said.startswith("<!doctype html>")
    assert "<style>" in said
    assert "<script" not in said


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(explain(capsys, "wepay-access-token", "--format", "json"))

    assert said["id"] == "wepay-access-token"
    assert [section["id"] for section in said["sections"]][:2] == ["first", "what"]


def test_an_alert_is_filled_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_text(json.dumps(ALERT))

    said = explain(capsys, "--alert", str(file))

    assert "lib/pay.rb" in said
    assert "It is live" in said
    assert 'ENV.fetch("WEPAY_ACCESS_TOKEN"' in said  # the alert's file is Ruby


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["wepay-acces-token"], "did you mean wepay-access-token"),
        (["stripe live key"], "stripe-live"),
        ([], "the id of a secret type expected"),
        (["wepay-access-token", "--language", "pyton"], "did you mean 'python'"),
        (["wepay-access-token", "--alert", "/nowhere.json"], "/nowhere.json: cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_what_was_expected(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert cli.main(["explain", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"detector": {"id": 5}}', '{"detector": {"id": "wepay-access-token"}}', "\0"]
)
def test_what_is_no_alert_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    file = tmp_path / "alert.json"
    file.write_text(text)

    assert cli.main(["explain", "--alert", str(file)]) == 2
    assert "a published alert (sluice.alert/1) in JSON expected" in capsys.readouterr().err


def test_an_alert_of_another_type_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_text(json.dumps(ALERT))

    assert cli.main(["explain", "stripe-live-secret-key", "--alert", str(file)]) == 2
    assert "this alert is of wepay-access-token" in capsys.readouterr().err
