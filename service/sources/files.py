"""Working trees and files: which files are looked at, and their bytes in buffers that are worth a scan.

In a git work tree git says which files there are, so that ignored ones stay out; elsewhere every file below the folder. A
file that holds a zero byte near its beginning is binary and left out, unless it is UTF-16 text.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from service.errors import SluiceError

BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Small files are laid side by side in a buffer of this size: one call of the engine for hundreds of them."""

LARGEST_FILE_BYTES: Final = 1 << 31
_SNIFFED: Final = 8192
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_ALWAYS_LEFT_OUT: Final = frozenset((".git", ".hg", ".svn"))


class File(NamedTuple):
    """A file inside a buffer."""

    path: str
    start: int
    end: int


class Buffer(NamedTuple):
    """Files side by side, a zero byte between them."""

    data: bytearray
    files: list[File]


class Skipped(NamedTuple):
    """A file that was not looked at, and why."""

    path: str
    reason: str


def listed(paths: Iterable[str]) -> Iterator[str]:
    """The files below the paths.

    Raises:
        SluiceError: a path does not exist.
    """
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise SluiceError(f"{path}: cannot be read: {error.strerror}") from error
        if not stat.S_ISDIR(mode):
            yield path
            continue
        tracked = _tracked(path)
        yield from tracked if tracked is not None else _walked(path)


def _tracked(folder: str) -> list[str] | None:
    """What git knows below a folder and does not ignore; None outside of a work tree."""
    try:
        listing = subprocess.run(
            ["git", "-C", folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
            capture_output=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    if not listing and _is_ignored(folder):  # an ignored folder that was named itself: the wish counts
        return None
    join = os.path.join
    return [join(folder, name) for name in os.fsdecode(listing).split("\0") if name]


def _is_ignored(folder: str) -> bool:
    git = ["git", "-C", folder]
    prefix = subprocess.run([*git, "rev-parse", "--show-prefix"], capture_output=True, check=False).stdout.strip()
    if not prefix:  # the work tree's root, which nothing can ignore
        return False
    name = os.path.join("..", os.path.basename(os.path.realpath(folder)))
    return subprocess.run([*git, "check-ignore", "--quiet", "--", name], capture_output=True, check=False).returncode == 0


def _walked(folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        below = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _ALWAYS_LEFT_OUT:
                    below.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path
        waiting += reversed(below)


def buffers(paths: Iterable[str], skipped: list[Skipped] | None = None) -> Iterator[Buffer]:
    """The files' bytes, in buffers of about :data:`BUFFER_BYTES`; a larger file has one of its own."""
    data = bytearray(BUFFER_BYTES)
    view = memoryview(data)
    files: list[File] = []
    at = 0
    for path in paths:
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            _note(skipped, path, error.strerror or "cannot be opened")
            continue
        try:
            taken = os.readv(handle, [view[at:]])
            if at + taken >= BUFFER_BYTES - 1:
                size = os.fstat(handle).st_size
                if at:
                    yield Buffer(data[:at], files)
                    files, view[: min(taken, len(view) - at)] = [], bytes(view[at : at + taken])
                    at = 0
                if taken >= BUFFER_BYTES - 1 or size > taken:
                    whole = _rest(handle, bytes(view[:taken]), size)
                    if _is_binary(whole, 0, len(whole)):
                        _note(skipped, path, "binary")
                    else:
                        yield Buffer(whole, [File(path, 0, len(whole))])
                    continue
        except OSError as error:
            _note(skipped, path, error.strerror or "cannot be read")
            continue
        finally:
            os.close(handle)
        if _is_binary(data, at, at + taken):
            _note(skipped, path, "binary")
            continue
        files.append(File(path, at, at + taken))
        at += taken
        data[at] = 0
        at += 1
    if files:
        yield Buffer(data[:at], files)


def _rest(handle: int, head: bytes, size: int) -> bytearray:
    whole = bytearray(head)
    while len(whole) < LARGEST_FILE_BYTES and (more := os.read(handle, max(size - len(whole), 65536))):
        whole += more
    return whole


def _is_binary(data: bytearray, start: int, end: int) -> bool:
    return data.find(0, start, min(end, start + _SNIFFED)) >= 0 and bytes(data[start : start + 2]) not in _UTF16_MARKS


def _note(skipped: list[Skipped] | None, path: str, reason: str) -> None:
    if skipped is not None:
        skipped.append(Skipped(path, reason))
