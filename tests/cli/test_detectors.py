"""``sluice detectors``: the catalogue listed, shown and proved."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.detect import catalogue

ROOT = Path(__file__).parent.parent.parent
GOOD = """
provider = "Acme"
documentation = "https://acme.invalid/docs"

[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acmecorp_[a-z0-9]{32}'
examples = ["TOKEN={secret}"]
risk = "Opens every door."

[secret.revoke]
console = "Settings, Tokens, Delete"
"""


def sluice(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "detectors", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "ours" / "cloud" / "acme.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return folder / "ours"


def test_the_list_for_programs_holds_every_detector_with_the_contracts_fields() -> None:
    done = sluice("list", "--format", "json")

    rows = json.loads(done.stdout)
    assert done.returncode == 0
    assert {row["id"] for row in rows} == {detector.id for detector in catalogue.load(catalogue.read())}
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row[key] for key in ("id", "name", "provider", "category", "severity"))
        assert row["severity"] in ("info", "low", "medium", "high", "critical")


def test_the_list_is_the_default_and_has_a_line_a_detector() -> None:
    default, listed = sluice(), sluice("list")

    assert (default.returncode, default.stdout) == (0, listed.stdout)
    lines = default.stdout.splitlines()
    assert len(lines) == len(catalogue.load(catalogue.read()))
    assert f"{len(lines)} secret types" in default.stderr


def test_one_category_alone() -> None:
    rows = json.loads(sluice("list", "--format", "json", "--category", "generic").stdout)

    assert {row["category"] for row in rows} == {"generic"}


def test_a_category_that_does_not_exist_is_told() -> None:
    done = sluice("list", "--category", "genric")

    assert done.returncode == 2
    assert "genric" in done.stderr
    assert "generic" in done.stderr


def test_the_list_as_markdown_is_a_table_for_each_category() -> None:
    title, _, category, head, rule, *rows = sluice("list", "--format", "markdown", "--category", "generic").stdout.splitlines()

    assert title == f"# {len(rows)} secret types of {len({row.split('|')[3] for row in rows})} providers"
    assert category == "## generic"
    assert rows
    assert all(row.count("|") == 5 for row in (head, rule, *rows))


def test_one_detector_is_shown_with_what_it_finds_and_how_to_revoke_it() -> None:
    detector = next(d for d in catalogue.load(catalogue.read()) if d.id == "github-personal-access-token")
    done = sluice("show", detector.id)

    assert done.returncode == 0
    for text in (detector.id, detector.name, detector.provider, detector.severity, detector.expression, detector.documentation):
        assert text in done.stdout


def test_an_unknown_detector_is_two_with_a_hint() -> None:
    done = sluice("show", "github-personal-acces-token")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sluice: github-personal-acces-token: there is no such detector; did you mean")
    assert "github-personal-access-token" in done.stderr


def test_a_good_folder_of_ones_own_is_right(tmp_path: Path) -> None:
    done = sluice("check", str(write(tmp_path, GOOD)))

    assert (done.returncode, done.stdout) == (0, "")
    assert "1 of 1 detectors are right" in done.stderr


def test_one_category_of_it_can_be_checked(tmp_path: Path) -> None:
    done = sluice("check", str(write(tmp_path, GOOD) / "cloud"))

    assert done.returncode == 0
    assert "1 of 1 detectors are right" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('examples = ["TOKEN={secret}"]', 'examples = ["TOKENS{secret}"]', "example 1 is not found"),
        ('TOKEN={secret}"]', 'TOKEN={secret}"]\nnear_misses = ["TOKEN={secret}"]', "near miss 1 is found"),
    ],
)
def test_a_detector_that_does_not_do_what_it_says_is_one_and_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    done = sluice("check", str(write(tmp_path, GOOD.replace(old, new))))

    assert done.returncode == 1
    assert f"acme-token: {told}" in done.stdout
    assert "0 of 1 detectors are right" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('severity = "high"', 'severity = "awful"', "severity"),
        ("acmecorp_[a-z0-9]{32}", "acmecorp_(", "expression"),
        ('name = "Acme token"', 'name = "Acme token"\nchecks = ["crc99"]', "checks"),
    ],
)
def test_a_wrong_file_is_two_with_file_detector_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    done = sluice("check", str(write(tmp_path, GOOD.replace(old, new))))

    assert done.returncode == 2
    assert done.stderr.startswith("sluice: cloud/acme.toml: acme-token: ")
    assert key in done.stderr


def test_a_folder_without_detectors_is_two(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        done = sluice("check", str(folder))

        assert done.returncode == 2
        assert str(folder) in done.stderr
        assert "Traceback" not in done.stderr
