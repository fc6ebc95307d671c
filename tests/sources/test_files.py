"""Which files are looked at, that all their bytes are, and that what is planted in them comes back."""

import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import app, proof
from service.errors import SluiceError
from service.inspection import Inspector
from service.records import Confidence, Detector
from service.sources import files, scanning
from service.sources.files import Skipped, buffers, listed


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return app.inspector(app.load_database()[0], Confidence.low)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return next(found for found in app.load_database()[0].detectors if found.id == "github-personal-access-token")


def write(folder: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def names(folder: Path) -> set[str]:
    return {os.path.relpath(path, folder) for path in listed([str(folder)])}


def read(paths: list[str]) -> tuple[dict[str, bytes], list[Skipped]]:
    """Each file's bytes as they stand in the buffers, and what was left out."""
    skipped: list[Skipped] = []
    found: dict[str, bytes] = {}
    for buffer in buffers(paths, skipped):
        for file in buffer.files:
            assert file.path not in found
            found[file.path] = bytes(buffer.data[file.start : file.end])
    return found, skipped


# -- which files -------------------------------------------------------------------------------------------------------


def test_outside_of_git_every_file_below_is_listed_but_for_the_stores_of_version_control(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"1", sub__b_txt=b"2", sub__deep__c_txt=b"3", _git__config=b"4", _hg__x=b"5")
    (tmp_path / ".hidden").write_bytes(b"6")

    assert names(tmp_path) == {"a.txt", "sub/b.txt", "sub/deep/c.txt", ".hidden"}


def test_in_a_work_tree_ignored_files_stay_out_and_new_ones_are_in(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, kept_txt=b"1", ignored_log=b"2", build__out_txt=b"3", sub__new_txt=b"4")
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    git(tmp_path, "add", "kept.txt")

    assert names(tmp_path) == {"kept.txt", ".gitignore", "sub/new.txt"}
    assert names(tmp_path / "sub") == {"new.txt"}


def test_an_ignored_file_that_git_tracks_is_listed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, tracked_log=b"1")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "add", "--force", "tracked.log")

    assert names(tmp_path) == {"tracked.log", ".gitignore"}


def test_an_ignored_folder_that_is_named_itself_is_looked_at(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("build/\n")
    write(tmp_path, build__out_txt=b"1")

    assert names(tmp_path / "build") == {"out.txt"}


def test_names_that_git_would_quote_come_as_they_are(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    strange = {'with "quotes"', "with\nline", "ünï", "with space", "-dash"}
    for name in strange:
        (tmp_path / name).write_bytes(b"x")

    assert names(tmp_path) == strange


def test_a_file_is_listed_as_it_is_named_and_a_missing_path_is_told(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"1")
    assert list(listed([str(tmp_path / "a.txt")])) == [str(tmp_path / "a.txt")]

    with pytest.raises(SluiceError, match="nowhere"):
        list(listed([str(tmp_path / "nowhere")]))


@pytest.mark.parametrize("in_git", [False, True])
def test_links_in_circles_end(tmp_path: Path, in_git: bool) -> None:
    if in_git:
        git(tmp_path, "init", "-q")
    write(tmp_path, sub__a_txt=b"content")
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")

    found, _ = read(list(listed([str(tmp_path)])))

    assert found == {str(tmp_path / "sub" / "a.txt"): b"content"}


# -- what is left out of them ------------------------------------------------------------------------------------------


def test_what_cannot_be_opened_or_read_is_skipped_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"one", b_txt=b"two")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    paths = [str(tmp_path / name) for name in ("a.txt", "missing", "loop", ".", "b.txt")] + ["/proc/self/mem"]

    found, skipped = read(paths)

    assert sorted(found.values()) == [b"one", b"two"]
    assert {Path(path).name for path, reason in skipped if reason} == {"missing", "loop", tmp_path.name, "mem"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_skipped_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path, secret_txt=b"x")
    (tmp_path / "secret.txt").chmod(0)

    assert read(list(listed([str(tmp_path)])))[1] == [Skipped(str(tmp_path / "secret.txt"), "Permission denied")]


def test_a_deleted_file_that_git_still_tracks_is_skipped(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, a_txt=b"one", gone_txt=b"two")
    git(tmp_path, "add", ".")
    (tmp_path / "gone.txt").unlink()

    found, skipped = read(list(listed([str(tmp_path)])))

    assert list(found.values()) == [b"one"]
    assert [Path(path).name for path, _ in skipped] == ["gone.txt"]


@pytest.mark.parametrize("size", [100, files.BUFFER_BYTES + 100])
def test_binary_files_are_left_out_and_utf16_texts_are_not(tmp_path: Path, size: int) -> None:
    text = "a word " * (size // 7)
    write(tmp_path, a_bin=b"\x7fELF\0" + b"x" * size, b_txt=text.encode(), c_txt=text.encode("utf-16"))

    found, skipped = read([str(tmp_path / name) for name in ("a.bin", "b.txt", "c.txt")])

    assert list(found.values()) == [text.encode(), text.encode("utf-16")]
    assert skipped == [Skipped(str(tmp_path / "a.bin"), "binary")]


@given(st.lists(st.integers(0, 200), max_size=12), st.integers(16, 128))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_byte_of_every_file_is_in_a_buffer_whatever_the_sizes(tmp_path: Path, sizes: list[int], room: int) -> None:
    contents = {str(tmp_path / str(number)): bytes([97 + number]) * size for number, size in enumerate(sizes)}
    for path, content in contents.items():
        Path(path).write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BUFFER_BYTES", room)
        found, skipped = read(list(contents))

    assert (found, skipped) == (contents, [])


def test_neighbours_in_a_buffer_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"one", b_txt=b"two")

    (buffer,) = buffers([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])

    assert bytes(buffer.data) == b"one\0two\0"


# -- planted secrets ---------------------------------------------------------------------------------------------------


def test_planted_secrets_come_back_with_path_line_column_and_count(
    tmp_path: Path, inspector: Inspector, detector: Detector
) -> None:
    rng = random.Random(1)
    planted = Counter[tuple[str, int, int, bytes]]()
    for number in range(40):
        lines = [f"line {rng.random()}".encode() for _ in range(rng.randrange(30))]
        path = tmp_path / f"folder{number % 3}" / f"{number}.txt"
        for _ in range(rng.randrange(3)):
            secret = proof.secret_of(detector, rng)
            lines.append(b"x" * (number % 5) + b" token=" + secret)
            planted[str(path), len(lines), number % 5 + 8, secret] += 1
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\n".join(lines))

    found = Counter(
        (f.path, f.line, f.column, f.finding.candidate.secret.reveal())
        for f in scanning.scan(listed([str(tmp_path)]), inspector)
    )

    assert len(planted) > 20
    assert found == planted


@pytest.mark.parametrize("size", [0, files.BUFFER_BYTES - 60, files.BUFFER_BYTES, 2 * files.BUFFER_BYTES])
def test_a_secret_at_the_end_of_a_file_of_any_size_is_found(
    tmp_path: Path, inspector: Inspector, detector: Detector, size: int
) -> None:
    secret = proof.secret_of(detector, random.Random(2))
    write(tmp_path, first_txt=b"a small one", large_txt=b"word \n" * (size // 6) + secret, last_txt=b"another")

    found = list(scanning.scan(listed([str(tmp_path)]), inspector))

    assert [(Path(f.path).name, f.line, f.finding.candidate.secret.reveal()) for f in found] == [
        ("large.txt", size // 6 + 1, secret)
    ]


def test_secrets_in_ignored_and_binary_files_are_not_looked_for(
    tmp_path: Path, inspector: Inspector, detector: Detector
) -> None:
    rng = random.Random(3)
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.log\n")
    seen = proof.secret_of(detector, rng)
    write(tmp_path, a_txt=seen, b_log=proof.secret_of(detector, rng), c_bin=b"\0" + proof.secret_of(detector, rng))

    found = list(scanning.scan(listed([str(tmp_path)]), inspector))

    assert [f.finding.candidate.secret.reveal() for f in found] == [seen]


def test_a_secret_does_not_reach_from_one_file_into_the_next(tmp_path: Path, inspector: Inspector, detector: Detector) -> None:
    secret = proof.secret_of(detector, random.Random(4))
    write(tmp_path, a_txt=secret[:20], b_txt=secret[20:])

    assert list(scanning.scan(listed([str(tmp_path)]), inspector)) == []
