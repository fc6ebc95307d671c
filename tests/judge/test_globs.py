"""Patterns of paths and ids."""

import pytest

from service.judge import globs


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.md", "docs/a/README.md"),
        ("tests/", "tests/unit/test_a.py"),
        ("tests", "src/tests/a.py"),
        ("src/**/*.py", "src/a.py"),
        ("src/**/*.py", "src/a/b/c.py"),
        ("/src/*.py", "src/a.py"),
        ("**/fixtures/**", "a/fixtures/b/c"),
        ("config.{yml,yaml}", "deploy/config.yaml"),
        ("file[0-9].txt", "file7.txt"),
        ("file[!0-9].txt", "filex.txt"),
        ("src/*.py", "./src/a.py"),
        ("src/*.py", "src\\a.py"),
    ],
)
def test_a_pattern_covers_the_paths_that_people_mean(pattern: str, path: str) -> None:
    assert globs.of_paths(pattern)(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("src/*.py", "src/a/b.py"),
        ("src/*.py", "lib/src/a.py"),
        ("*.md", "README.mdx"),
        ("tests/", "contests/a"),
        ("file[!0-9].txt", "file7.txt"),
    ],
)
def test_a_pattern_covers_no_other_path(pattern: str, path: str) -> None:
    assert not globs.of_paths(pattern)(path)


def test_words_are_covered_whole_and_in_any_case() -> None:
    assert globs.of_words("generic-*")("Generic-password")
    assert not globs.of_words("generic")("generic-password")


@pytest.mark.parametrize("pattern", ["", "a{b", "a}b{", "{a{b}}", "x" * 600, "[z-a]"])
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    assert globs.problem(pattern)


def test_a_hostile_path_is_refused_in_linear_time() -> None:
    assert not globs.of_paths("*a*a*a*a*a*b")("a" * 4000)  # by backtracking it would take years


@pytest.mark.parametrize("pattern", ["**", "**/*", "src/**", "a[b", "{a,b}/**/c?"])
def test_what_is_a_pattern_passes(pattern: str) -> None:
    assert globs.problem(pattern) is None
    globs.of_paths(pattern)("a/b")
