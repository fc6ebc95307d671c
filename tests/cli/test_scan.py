"""``sluice scan`` as people and programs run it: what it prints, and what its exit status says."""

import base64
import json
import os
import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.judge import evidence

FIELDS: dict[str, Any] = {
    "detector": str,
    "name": str,
    "provider": str,
    "category": str,
    "severity": str,
    "confidence": str,
    "validity": str,
    "path": str,
    "line": int,
    "column": int,
    "start": int,
    "end": int,
    "secret": str,
    "fingerprint": str,
    "encoding": (str, type(None)),
    "checks": dict,
}


def token(seed: int = 1) -> str:
    rng = random.Random(seed)
    body = "".join(rng.choices(string.ascii_letters + string.digits, k=36))
    return evidence.complete("github-crc32", b"ghp_" + body.encode()).decode()


def password() -> str:
    return "".join(random.Random(2).choices(string.ascii_letters + string.digits, k=14))


class Scan:
    """Runs ``sluice scan`` in a folder of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "SLUICE_FINGERPRINT__KEY": "0" * 32}

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def __call__(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "service", "scan", *arguments]
        environment = {**self.environment, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
        return subprocess.run(command, cwd=self.folder, env=environment, input=given, capture_output=True, timeout=300)

    def rows(self, *arguments: str, given: bytes = b"") -> list[dict[str, Any]]:
        done = self("--format", "jsonl", *arguments, given=given)
        assert done.returncode in (0, 1), done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def scan(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return Scan(tmp_path, tmp_path_factory.mktemp("home"))


def test_nothing_found_is_zero(scan: Scan) -> None:
    scan.write("main.py", "print('hello')\n")

    done = scan(".")

    assert (done.returncode, done.stdout) == (0, b"")
    assert b"nothing found" in done.stderr


def test_something_found_is_one_and_told_with_its_place_but_not_itself(scan: Scan) -> None:
    secret = token()
    scan.write("config/prod.env", f"# production\nexport GITHUB_TOKEN={secret}\n")

    done = scan(".")

    assert done.returncode == 1
    assert b"config/prod.env:2:21" in done.stdout
    assert b"ghp_****" in done.stdout
    assert secret.encode() not in done.stdout + done.stderr
    assert b"1 finding" in done.stderr


def test_what_cannot_be_done_is_two_and_told_in_one_line(scan: Scan) -> None:
    done = scan("no-such-folder")

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == "sluice: no-such-folder: cannot be read: No such file or directory\n"


def test_a_missing_path_beside_a_good_one_is_two_as_well(scan: Scan) -> None:
    scan.write("a.env", f"TOKEN={token()}\n")

    assert scan("a.env", "no-such-file").returncode == 2


def test_an_unknown_option_is_two(scan: Scan) -> None:
    done = scan("--no-such-option")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"usage" in done.stderr


def test_a_line_of_json_holds_the_contracts_fields(scan: Scan) -> None:
    secret = token()
    text = f"# für später\nexport GITHUB_TOKEN={secret}\n"
    scan.write("prod.env", text)

    (row,) = scan.rows("prod.env")

    for field, kind in FIELDS.items():
        assert isinstance(row[field], kind), field
    assert (row["path"], row["line"], row["column"]) == ("prod.env", 2, 21)
    assert text.encode()[row["start"] : row["end"]] == secret.encode()
    assert (row["provider"], row["category"] == "generic", row["validity"]) == ("GitHub", False, "unchecked")
    assert (row["confidence"], row["encoding"], row["checks"]) == ("high", None, {"github-crc32": "passed"})
    assert row["secret"] == f"ghp_****{secret[-4:]}"


def test_only_reveal_prints_the_secret(scan: Scan) -> None:
    secret = token()
    scan.write("prod.env", f"TOKEN={secret}\n")

    for style in ("text", "jsonl", "sarif"):
        hidden, revealed = scan("--format", style, "."), scan("--format", style, "--reveal", ".")
        assert secret.encode() not in hidden.stdout + hidden.stderr, style
        assert secret.encode() in revealed.stdout, style
        assert (hidden.returncode, revealed.returncode) == (1, 1)


def test_the_fingerprint_follows_the_secret_and_the_key_not_the_place(scan: Scan) -> None:
    for name, seed in (("a.env", 1), ("b/c.env", 1), ("d.env", 3)):
        scan.write(name, f"# {name}\nTOKEN={token(seed)}\n")
    before = {row["path"]: row["fingerprint"] for row in scan.rows("a.env", "b", "d.env")}

    assert before["a.env"] == before["b/c.env"] != before["d.env"]
    scan.environment["SLUICE_FINGERPRINT__KEY"] = "1" * 32
    assert scan.rows("a.env")[0]["fingerprint"] != before["a.env"]


def test_without_a_key_the_user_gets_one_that_stays(scan: Scan) -> None:
    del scan.environment["SLUICE_FINGERPRINT__KEY"]
    scan.write("a.env", f"TOKEN={token()}\n")

    first, second = (scan.rows("a.env")[0]["fingerprint"] for _ in range(2))

    assert first == second


def test_several_paths_and_none_at_all(scan: Scan) -> None:
    scan.write("one/a.env", f"TOKEN={token(1)}\n")
    scan.write("two/b.env", f"TOKEN={token(2)}\n")
    scan.write("three/c.env", f"TOKEN={token(3)}\n")

    assert [row["path"] for row in scan.rows("two", "one/a.env")] == ["two/b.env", "one/a.env"]
    assert {Path(row["path"]).name for row in scan.rows()} == {"a.env", "b.env", "c.env"}


def test_standard_input_is_read_to_its_end(scan: Scan) -> None:
    text = b"clean\n" * 100 + b"TOKEN=" + token().encode()

    (row,) = scan.rows("-", given=text)

    assert (row["path"], row["line"], row["column"], row["start"]) == ("-", 101, 7, 606)


def test_clean_and_empty_standard_input_are_zero(scan: Scan) -> None:
    assert scan("-", given=b"clean\n").returncode == 0
    assert scan("-", given=b"").returncode == 0


def test_standard_input_stands_alone(scan: Scan) -> None:
    done = scan("-", ".", given=b"")

    assert done.returncode == 2
    assert b"standard input cannot be named beside other paths" in done.stderr


def test_ignored_and_binary_files_are_left_out(scan: Scan) -> None:
    subprocess.run(["git", "init", "--quiet", "."], cwd=scan.folder, check=True)
    line = f"TOKEN={token()}\n"
    scan.write(".gitignore", "ignored/\n*.log\n")
    for name in ("ignored/a.env", "debug.log", "untracked.env", "src/deep/tracked.env"):
        scan.write(name, line)
    scan.write("image.bin", b"\x89PNG\0\0" + line.encode())
    subprocess.run(["git", "add", "src"], cwd=scan.folder, check=True)

    assert {Path(row["path"]).name for row in scan.rows(".")} == {"untracked.env", "tracked.env"}
    assert b"1 binary files left out" in scan(".").stderr


def test_what_is_ignored_is_looked_at_where_it_is_named_itself(scan: Scan) -> None:
    subprocess.run(["git", "init", "--quiet", "."], cwd=scan.folder, check=True)
    scan.write(".gitignore", "ignored/\n")
    scan.write("ignored/a.env", f"TOKEN={token()}\n")

    assert [row["path"] for row in scan.rows("ignored/a.env")] == ["ignored/a.env"]
    assert [row["path"] for row in scan.rows("ignored")] == ["ignored/a.env"]


def test_a_folder_whose_files_are_all_ignored_has_none(scan: Scan) -> None:
    subprocess.run(["git", "init", "--quiet", "."], cwd=scan.folder, check=True)
    scan.write(".git/info/exclude", "*\n")
    scan.write("a.env", f"TOKEN={token()}\n")

    assert scan.rows(".") == []


def test_outside_of_a_work_tree_every_text_file_is_looked_at(scan: Scan) -> None:
    for name in ("a.env", ".hidden/b.env", "deep/er/c.env"):
        scan.write(name, f"TOKEN={token()}\n")

    assert {Path(row["path"]).name for row in scan.rows(".")} == {"a.env", "b.env", "c.env"}


def test_names_that_need_care_are_no_trouble(scan: Scan) -> None:
    names = ["with blank.env", "ünïcode.env", "new\nline.env", "-dash.env"]
    for name in names:
        scan.write(name, f"TOKEN={token()}\n")

    assert {Path(row["path"]).name for row in scan.rows(".")} == set(names)


def test_utf_16_text_is_no_binary_file(scan: Scan) -> None:
    scan.write("windows.reg", f"TOKEN={token()}\r\n".encode("utf-16"))

    (row,) = scan.rows(".")

    assert row["encoding"] == "utf-16"


def test_the_encoding_is_told_and_the_place_is_that_of_the_encoded_run(scan: Scan) -> None:
    encoded = base64.b64encode(f"user:{token()}".encode())
    text = b"auth: " + encoded + b"\n"
    scan.write("secret.yaml", text)

    rows = scan.rows("--reveal", ".")

    row = next(row for row in rows if row["provider"] == "GitHub")
    assert (row["encoding"], row["secret"]) == ("base64", token())
    assert 6 <= row["start"] < row["end"] <= 6 + len(encoded)


def test_the_least_confidence_decides_what_is_shown_and_the_status(scan: Scan) -> None:
    wrong = token()[:-1] + ("a" if token()[-1] != "a" else "b")
    scan.write("low.env", f"TOKEN={wrong}\n")
    scan.write("medium.py", f'db_password = "{password()}"\n')
    scan.write("high.env", f"TOKEN={token()}\n")

    shown = {
        least: {Path(row["path"]).stem for row in scan.rows("--min-confidence", least, ".")}
        for least in ("low", "medium", "high")
    }

    assert shown == {"low": {"low", "medium", "high"}, "medium": {"medium", "high"}, "high": {"high"}}
    assert {Path(row["path"]).stem for row in scan.rows(".")} == shown["medium"]
    assert scan("low.env").returncode == 0
    assert scan("--min-confidence", "low", "low.env").returncode == 1


def test_a_secret_of_no_provider_is_generic(scan: Scan) -> None:
    scan.write("settings.py", f'db_password = "{password()}"\n')

    (row,) = scan.rows(".")

    assert (row["category"], row["confidence"]) == ("generic", "medium")


def test_two_secrets_on_one_line_are_two(scan: Scan) -> None:
    scan.write("a.env", f"A={token(1)} B={token(2)}\n")

    rows = scan.rows("--reveal", ".")

    assert [row["secret"] for row in rows] == [token(1), token(2)]
    assert [row["line"] for row in rows] == [1, 1]


def test_sarif_is_what_code_scanning_reads(scan: Scan) -> None:
    secret = token()
    scan.write("src/größe 1.env", f"TOKEN={secret}\n")
    scan.write("src/b.env", f"\nOTHER={token(2)}\n")

    done = scan("--format", "sarif", "src")

    document = json.loads(done.stdout)
    assert (done.returncode, document["version"]) == (1, "2.1.0")
    assert document["$schema"].endswith("sarif-2.1.0.json")
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "Sluice"
    assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"]) == 1
    assert len(run["results"]) == 2
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert result["partialFingerprints"]
    places = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: result["locations"][0]["physicalLocation"][
            "region"
        ]
        for result in run["results"]
    }
    assert set(places) == {"src/gr%C3%B6%C3%9Fe%201.env", "src/b.env"}
    assert (places["src/b.env"]["startLine"], places["src/b.env"]["startColumn"]) == (2, 7)


def test_sarifs_columns_count_what_it_says_they_count(scan: Scan) -> None:
    scan.write("a.env", f"ÄÖÜ=1 TOKEN={token()}\n")

    (run,) = json.loads(scan("--format", "sarif", ".").stdout)["runs"]

    assert run["columnKind"] == "unicodeCodePoints"
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startColumn"] == 13


def test_sarif_of_nothing_is_a_run_without_results(scan: Scan) -> None:
    scan.write("a.txt", "clean\n")
    done = scan("--format", "sarif", ".")

    assert done.returncode == 0
    assert json.loads(done.stdout)["runs"][0]["results"] == []


def test_programs_get_nothing_but_findings_on_standard_output(scan: Scan) -> None:
    scan.write("a.txt", "clean\n")

    assert scan("--format", "jsonl", ".").stdout == b""


def test_a_reader_that_goes_away_is_no_fault(scan: Scan) -> None:
    scan.write("a.env", "".join(f"TOKEN={token(seed)}\n" for seed in range(3000)))
    command = f"{sys.executable} -m service scan --format jsonl a.env | head -n 1"
    environment = {**scan.environment, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}

    done = subprocess.run(["sh", "-c", command], cwd=scan.folder, env=environment, capture_output=True, timeout=300)

    assert len(done.stdout.splitlines()) == 1
    assert b"Traceback" not in done.stderr


def test_a_folder_of_ones_own_detectors_is_used(scan: Scan) -> None:
    scan.write(
        "ours/cloud/acme.toml",
        """
        provider = "Acme"
        [[secret]]
        id = "acme-token"
        name = "Acme token"
        severity = "high"
        expression = 'acmecorp_[a-z0-9]{32}'
        examples = ["TOKEN={secret}"]
        """,
    )
    secret = "acmecorp_" + "".join(random.Random(5).choices(string.ascii_lowercase + string.digits, k=32))
    scan.write("a.env", f"TOKEN={secret}\n")

    assert [row["detector"] for row in scan.rows("--detectors", "ours", "a.env")] == ["acme-token"]


def test_a_wrong_detector_file_is_two_and_told_with_file_detector_and_key(scan: Scan) -> None:
    scan.write("ours/cloud/acme.toml", 'provider = "A"\n[[secret]]\nid = "a-b"\nname = "x"\nseverity = "awful"\n')

    done = scan("--detectors", "ours", ".")

    assert done.returncode == 2
    for word in (b"cloud/acme.toml", b"a-b", b"severity"):
        assert word in done.stderr


def test_explain_tells_why_something_was_dropped_and_not_what(scan: Scan) -> None:
    masked = "ghp_" + "x" * 36
    scan.write("a.env", f"TOKEN={masked}\n")

    done = scan("--explain", ".")

    assert done.returncode == 0
    assert b"dropped: ./a.env:1:7  github-personal-access-token" in done.stderr
    assert b"placeholder" in done.stderr
    assert masked.encode() not in done.stderr


def test_a_marker_on_its_line_lets_a_secret_pass_unless_told_otherwise(scan: Scan) -> None:
    scan.write("settings.py", f'TOKEN = "{token()}"  # gitleaks:allow\nOTHER = "{token(2)}"\n')

    assert [row["line"] for row in scan.rows(".")] == [2]
    assert [row["line"] for row in scan.rows("--no-inline-allow", ".")] == [1, 2]


def test_an_allow_list_lets_one_secret_pass_and_tells_what_never_fired(scan: Scan) -> None:
    scan.write("settings.py", f'TOKEN = "{token()}"\n')
    (row,) = scan.rows(".")
    common = 'owner = "a"\nreason = "b"\nexpires = "never"\n'
    entries = f'[[allow]]\nfingerprint = "{row["fingerprint"]}"\n{common}[[allow]]\npath = "nowhere/"\n{common}'
    listed = scan.write("allowed.toml", entries)
    scan.write("settings.py", f'TOKEN = "{token(2)}"\nOLD = "{token()}"\n')

    done = scan("--format", "jsonl", "--allow", str(listed), "settings.py")

    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1]
    assert "[[allow]] 2: let nothing pass" in done.stderr.decode()


def test_a_wrong_allow_list_ends_the_scan_with_its_place(scan: Scan) -> None:
    listed = scan.write("allowed.toml", "[[allow]]\npath = 'a'\n")

    done = scan("--allow", str(listed), ".")

    assert done.returncode == 2
    assert b"allowed.toml: [[allow]] 1" in done.stderr


def test_explain_lists_what_was_dropped_and_why(scan: Scan) -> None:
    mask = "ghp_" + "x" * 36
    scan.write("a.py", f'one = "{mask}"\ntwo = "{token()}"  # sluice:allow\n')

    rows = scan.rows("--explain", "a.py")

    assert {(row["dropped"], row["line"]) for row in rows if row["detector"].startswith("github")} == {
        ("placeholder", 1),
        ("allowed_inline", 2),
    }
    assert token() not in json.dumps(rows)
