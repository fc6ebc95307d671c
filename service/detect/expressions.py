"""The expressions of detectors: one syntax tree, from which every stage's form is made.

A detector states its secret once. From that one tree come the expression for the raw bytes (:func:`wire`), the one that
cuts the secret out of decoded text (:func:`exact`), the byte sets by position from which encoded images are made
(:func:`paths`), and examples (:func:`sample`). Stating it once is what lets a test hold the stages together.

The syntax is a subset of the usual one (see ``detectors/README.md``); everything is matched as bytes. A parser of our own
is shorter than rules that would reject from a full syntax tree what some stage cannot carry, and its errors name the place.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Final

import re2

from service.errors import ExpressionError

MAX_SECRET_BYTES: Final = 16_384
"""No secret is longer; a repeat without an upper bound ends here."""

MOST_STATES: Final = 20_000
"""What the repeats of an expression may multiply to: beyond, an engine would compile for minutes to refuse it."""

MOST_COUNTED: Final = 24
"""On the wire a varying repeat is counted up to this; a longer one has no upper bound there."""

DIGITS: Final = frozenset(b"0123456789")
LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
ALNUM: Final = DIGITS | LETTERS
WORD: Final = ALNUM | frozenset(b"_")
SPACE: Final = frozenset(b" \t\n\r\f\v")
ANY: Final = frozenset(range(256))
HEX: Final = frozenset(b"0123456789abcdefABCDEF")

ESCAPABLE: Final = frozenset(b"\"\\/<>&='+") | frozenset(range(0x20)) | frozenset(range(0x7F, 0x100))
"""Bytes that some writer of JSON writes as an escape; letters, digits and the rest of ASCII are always written plainly."""

_CLASS_ESCAPES: Final = {"d": DIGITS, "w": WORD, "s": SPACE}
_CONTROL_ESCAPES: Final = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
_REFUSED: Final = {"^": "an anchor", "$": "an anchor"}


@dataclass(frozen=True, slots=True)
class Chars:
    """One byte out of a set."""

    allowed: frozenset[int]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``node``, ``least`` to ``most`` times; ``most`` is None where the expression states no upper bound."""

    node: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """One part after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the options."""

    options: tuple[Node, ...]


Node = Chars | Repeat | Sequence | Choice
EMPTY: Final = Sequence(())


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, what: str) -> ExpressionError:
        return ExpressionError(f"{what} at character {self.at + 1} of {self.text!r}")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise self.fail("the expression ends too early")
        self.at += 1
        return char

    def parse(self) -> Node:
        node = self.choice(caseless=False)
        if self.at < len(self.text):
            raise self.fail("unexpected ')'")
        return node

    def choice(self, caseless: bool) -> Node:
        options = [self.sequence(caseless)]
        while self.peek() == "|":
            self.at += 1
            options.append(self.sequence(caseless))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self, caseless: bool) -> Node:
        parts: list[Node] = []
        while (char := self.peek()) and char not in "|)":
            parts.append(self.repeated(self.atom(caseless)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def atom(self, caseless: bool) -> Node:
        char = self.take()
        if char == "(":
            return self.group(caseless)
        if char == "[":
            return Chars(_fold(self.char_class(), caseless))
        if char == ".":
            return Chars(ANY - {10})
        if char == "\\":
            return Chars(_fold(self.escape(), caseless))
        if char in _REFUSED:
            self.at -= 1
            raise self.fail(f"{_REFUSED[char]} is not part of the syntax")
        if char in "*+?{":
            self.at -= 1
            raise self.fail("nothing to repeat")
        parts = tuple(Chars(_fold(frozenset((byte,)), caseless)) for byte in char.encode())
        return parts[0] if len(parts) == 1 else Sequence(parts)

    def group(self, caseless: bool) -> Node:
        if not self.text.startswith("?", self.at):
            raise self.fail("a group is written (?:…)")
        for opening, folds in (("?:", caseless), ("?i:", True), ("?-i:", False)):
            if self.text.startswith(opening, self.at):
                self.at += len(opening)
                node = self.choice(folds)
                if self.take() != ")":
                    raise self.fail("')' expected")
                return node
        raise self.fail("look-around, names and flags other than (?i:…) are not part of the syntax")

    def escape(self) -> frozenset[int]:
        char = self.take()
        if char in _CLASS_ESCAPES:
            return _CLASS_ESCAPES[char]
        if char.lower() in _CLASS_ESCAPES:
            return ANY - _CLASS_ESCAPES[char.lower()]
        if char in _CONTROL_ESCAPES:
            return frozenset((_CONTROL_ESCAPES[char],))
        if char == "x":
            digits = self.take() + self.take()
            try:
                return frozenset((int(digits, 16),))
            except ValueError:
                raise self.fail("two hexadecimal digits expected") from None
        if char.isalnum() or not char.isascii():
            self.at -= 1
            raise self.fail(f"'\\{char}' is not part of the syntax")
        return frozenset((ord(char),))

    def char_class(self) -> frozenset[int]:
        negated = self.peek() == "^"
        self.at += negated
        allowed: set[int] = set()
        first = True
        while (char := self.take()) != "]" or first:
            first = False
            low = self.escape() if char == "\\" else self.one_byte(char)
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                char = self.take()
                high = self.escape() if char == "\\" else self.one_byte(char)
                if len(low) != 1 or len(high) != 1 or min(low) > min(high):
                    raise self.fail("a wrong range")
                allowed.update(range(min(low), min(high) + 1))
            else:
                allowed |= low
        return ANY - allowed if negated else frozenset(allowed)

    def one_byte(self, char: str) -> frozenset[int]:
        if not char.isascii():
            raise self.fail("only ASCII characters stand in a class")
        return frozenset((ord(char),))

    def repeated(self, node: Node) -> Node:
        while (char := self.peek()) and char in "*+?{":
            self.at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(char) or self.bounds()
            if self.peek() in ("?", "+"):
                raise self.fail("lazy and possessive repeats are not part of the syntax")
            if isinstance(node, Repeat) and (most is None or most > 1) and (node.most is None or node.most > 64):
                raise self.fail("a long repeat inside a repeat")
            if least > MAX_SECRET_BYTES or (most or 0) > MAX_SECRET_BYTES:
                raise self.fail(f"a repeat of more than {MAX_SECRET_BYTES}")
            node = Repeat(node, least, most)
        return node

    def bounds(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        body = self.text[self.at : end] if end >= 0 else ""
        low, comma, high = body.partition(",")
        if not low.isdigit() or (high and not high.isdigit()):
            raise self.fail("bounds such as {8} or {8,64} expected")
        self.at = end + 1
        least = int(low)
        most = int(high) if high else (None if comma else least)
        if most is not None and most < least:
            raise self.fail("a repeat whose bounds are the wrong way round")
        return least, most


def _fold(allowed: frozenset[int], caseless: bool) -> frozenset[int]:
    if not caseless:
        return allowed
    return allowed | {byte ^ 0x20 for byte in allowed & LETTERS}


@lru_cache(maxsize=8192)
def parse(expression: str) -> Node:
    """The tree of an expression.

    Raises:
        ExpressionError: it is outside the subset, or longer than :data:`MAX_SECRET_BYTES` at its least.
    """
    node = _Parser(expression).parse()
    if _states(node) > MOST_STATES:
        raise ExpressionError(f"its repeats multiply to more than {MOST_STATES} places: {expression!r}")
    if width(node)[0] > MAX_SECRET_BYTES:
        raise ExpressionError(f"more than {MAX_SECRET_BYTES} bytes at the least: {expression!r}")
    return node


def _states(node: Node) -> int:
    match node:
        case Chars():
            return 1
        case Sequence(parts):
            return sum(map(_states, parts))
        case Choice(options):
            return sum(map(_states, options))
        case Repeat(inner, least, most):
            times = max(least, most or 0, 1)
            return min(times, 1000) if isinstance(inner, Chars) else times * _states(inner)


def concatenate(*nodes: Node) -> Node:
    """The nodes one after the other."""
    return Sequence(tuple(node for node in nodes if node != EMPTY))


def split_fixed(node: Node) -> tuple[bytes, Node]:
    """The fixed bytes with which a tree begins, and what follows them."""
    parts = tuple(_flat(node))
    fixed = bytes(min(part.allowed) for part in takewhile(_single, parts) if isinstance(part, Chars))
    return fixed, Sequence(parts[len(fixed) :])


def _single(node: Node) -> bool:
    return isinstance(node, Chars) and len(node.allowed) == 1


def width(node: Node) -> tuple[int, int]:
    """The least and the greatest number of bytes that the expression matches, capped at :data:`MAX_SECRET_BYTES`."""
    match node:
        case Chars():
            return 1, 1
        case Sequence(parts):
            widths = [width(part) for part in parts]
            return sum(low for low, _ in widths), min(sum(high for _, high in widths), MAX_SECRET_BYTES)
        case Choice(options):
            widths = [width(option) for option in options]
            return min(low for low, _ in widths), max(high for _, high in widths)
        case Repeat(inner, least, most):
            low, high = width(inner)
            return low * least, MAX_SECRET_BYTES if most is None else min(high * most, MAX_SECRET_BYTES)


def first(node: Node) -> frozenset[int]:
    """The bytes with which a match can begin."""
    return _edge(node, 1)[0]


def last(node: Node) -> frozenset[int]:
    """The bytes with which a match can end."""
    return _edge(node, -1)[0]


def _edge(node: Node, step: int) -> tuple[frozenset[int], bool]:
    match node:
        case Chars(allowed):
            return allowed, False
        case Choice(options):
            edges = [_edge(option, step) for option in options]
            return frozenset().union(*(edge for edge, _ in edges)), any(empty for _, empty in edges)
        case Repeat(inner, least, _):
            edge, empty = _edge(inner, step)
            return edge, empty or least == 0
        case Sequence(parts):
            found: frozenset[int] = frozenset()
            for part in parts[::step]:
                edge, empty = _edge(part, step)
                found |= edge
                if not empty:
                    return found, False
            return found, True


# -- rendering ---------------------------------------------------------------------------------------------------------


def char(byte: int) -> str:
    """A byte in the syntax that both engines read."""
    return chr(byte) if byte in WORD else f"\\x{byte:02x}"


@lru_cache(maxsize=8192)
def char_set(allowed: frozenset[int]) -> str:
    """A set of bytes in the syntax that both engines read."""
    if len(allowed) == 1:
        return char(min(allowed))
    negated = len(allowed) > 128
    members = sorted(ANY - allowed if negated else allowed)
    if not members:
        return "[\\x00-\\xff]"
    runs: list[list[int]] = []
    for byte in members:
        if runs and byte == runs[-1][1] + 1:
            runs[-1][1] = byte
        else:
            runs.append([byte, byte])
    body = "".join(char(a) if a == b else f"{char(a)}-{char(b)}" for a, b in runs)
    return f"[{'^' if negated else ''}{body}]"


def _bounds(least: int, most: int | None) -> str:
    if least == most:
        return "" if least == 1 else f"{{{least}}}"
    if (least, most) == (0, 1):
        return "?"
    return f"{{{least},{'' if most is None else most}}}"


def exact(node: Node) -> str:
    """The expression for RE2, which cuts the secret out of decoded text in linear time.

    RE2 refuses repeats above 1,000, also as a product; longer ones are left without the bound that hurts, and the caller
    looks at the length again.
    """
    match node:
        case Chars(allowed):
            return char_set(allowed)
        case Sequence(parts):
            return "".join(exact(part) for part in parts)
        case Choice(options):
            return f"(?:{'|'.join(exact(option) for option in options)})"
        case Repeat(inner, least, most):
            body = exact(inner)
            if not isinstance(inner, Chars):
                body = f"(?:{body})"
            if most is not None and most * width(inner)[1] > 1000:
                most = None
            copies = ""
            while least > 1000:
                copies += f"{body}{{1000}}"
                least -= 1000
            return copies + body + _bounds(least, most)


_HEX_PAIR: Final = "[0-9a-fA-F]{2}"
_ESCAPE_INSIDE: Final = frozenset(b"\\%u") | HEX
"""What the escaped form of a byte is written with; a class that may be escaped takes these in on the wire."""


_LINEAR: Final = re2.Options()
_LINEAR.encoding = re2.Options.Encoding.LATIN1
_LINEAR.never_nl = False
_LINEAR.dot_nl = True
_LINEAR.log_errors = False
_UNANCHORED: Final = re2._re2.RE2.Anchor.UNANCHORED
_WHOLE: Final = re2._re2.RE2.Anchor.ANCHOR_BOTH

Spans = list[tuple[int, int]]


class Linear:
    """An expression compiled by RE2, over bytes: it runs in time linear in the text, whatever it looks like.

    The library's own wrapper takes three times as long as the match itself, with an iterator and an object for each: the
    method below it gives the spans alone. It is the one that the wrapper calls with just these arguments.

    Raises:
        re2.error: RE2 refuses it.
    """

    __slots__ = ("_match",)

    def __init__(self, expression: str) -> None:
        self._match = re2.compile(expression.encode("latin-1"), _LINEAR)._regexp.Match

    def search(self, text: bytes, at: int = 0) -> Spans | None:
        """The leftmost match from a place on: its span, then that of each group (-1, -1 where it took no part)."""
        spans: Spans = self._match(_UNANCHORED, text, at, len(text))
        return spans if spans[0][0] >= 0 else None

    def matches_whole(self, text: bytes) -> bool:
        """True if it matches from the first byte to the last."""
        return bool(self._match(_WHOLE, text, 0, len(text))[0][0] >= 0)


_LETTERS_OF_CONTROL: Final = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
"""What JSON writes behind a backslash for a control byte."""


def _wire_byte(byte: int) -> str:
    """A byte that may be escaped: plainly, behind backslashes, as ``\\u00XX`` or percent-encoded, at any depth."""
    digits = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{byte:02x}")
    short = _LETTERS_OF_CONTROL.get(byte)
    plain = char(byte) if short is None else f"{char(byte)}|{short}"
    return f"(?:{char(byte)}|\\x5c+(?:{plain}|u00{digits})|%(?:25)*{digits})"


SHORT_RUN: Final = 4
"""Fixed bytes between escapes that are too few to be looked for: the engine would follow up each of them."""


def _ways(byte: int) -> Iterator[str]:
    """The ways in which writers in writers write a byte, each of fixed bytes: what ``_wire_byte`` says without bounds."""
    digits = f"{byte:02x}"
    written_plainly = _LETTERS_OF_CONTROL.get(byte, char(byte))
    yield char(byte)
    for backslashes in (r"\x5c" * count for count in (1, 2, 3, 4, 7)):  # each string around it doubles them, or adds its own
        yield f"{backslashes}{written_plainly}"
        yield from (f"{backslashes}u00{written}" for written in sorted({digits, digits.upper()}))
    yield from (f"%{percent}{written}" for percent in ("", "25") for written in sorted({digits, digits.upper()}))


def _wire_run(run: bytes) -> str:
    """Fixed bytes that follow each other, plainly as one literal for the engine to find, or with escapes among them."""
    plain = "".join(map(char, run))
    escaped = ESCAPABLE.intersection(run)
    if len(run) == 1 or not escaped:
        return "".join(_wire_byte(byte) if byte in ESCAPABLE else char(byte) for byte in run)
    if len(escaped) == 1 and max(map(len, run.split(bytes(escaped)))) < SHORT_RUN:
        return f"(?:{'|'.join(''.join(way if byte in escaped else char(byte) for byte in run) for way in _ways(*escaped))})"
    return f"(?:{plain}|{''.join(_wire_byte(byte) if byte in ESCAPABLE else char(byte) for byte in run)})"


def wire(node: Node, trailing: bool = True) -> str:
    """The expression for the raw bytes: never misses what :func:`exact` matches once the text is decoded.

    Bytes that a writer of JSON may escape are allowed escaped, and ``trailing`` parts are cut to their least length, so
    that a token calls back once and not at each of its lengths.
    """
    match node:
        case Chars(allowed):
            if len(allowed) == 1:
                byte = min(allowed)
                return _wire_byte(byte) if byte in ESCAPABLE else char(byte)
            if not allowed & ESCAPABLE:
                return char_set(allowed)
            return f"(?:{char_set(allowed)}|\\x5c+(?:u{_HEX_PAIR}{_HEX_PAIR}|[!-~])|%(?:25)*{_HEX_PAIR})"
        case Sequence():
            rendered: list[str] = []
            for part in reversed(list(_with_runs(node))):
                rendered.append(_wire_run(part) if isinstance(part, bytes) else wire(part, trailing))
                trailing = trailing and not rendered[-1]
            return "".join(reversed(rendered))
        case Choice(options):
            return f"(?:{'|'.join(wire(option, trailing) for option in options)})"
        case Repeat(inner, least, most):
            if isinstance(inner, Chars) and most != 1:
                if inner.allowed & ESCAPABLE:
                    most = None if most is None else 8 * most  # bytes of an escape, however deeply it is escaped
                    letters = frozenset(b"bfnrt") if inner.allowed & frozenset(b"\b\f\n\r\t") else frozenset()
                    return _wire_repeat(char_set(inner.allowed | _ESCAPE_INSIDE | letters), least, most, trailing)
                return _wire_repeat(char_set(inner.allowed), least, most, trailing)
            return _wire_repeat(f"(?:{wire(inner, False)})", least, most, trailing)


LONG_RUN: Final = 7
"""A run of fixed bytes that is rare enough to begin with."""

MOST_LEFT_OUT: Final = 5
"""At most so many bytes may vary, at their least, in what is left out before such a run; in the address of a site, ..."""

MOST_OF_ADDRESS: Final = 40
"""... so many, since ``https://`` stands everywhere."""

_WEB: Final = tuple(Chars(frozenset((byte,))) for byte in b"http")


def from_rare_run(node: Node) -> Node:
    """The tree without what stands before its longest run of fixed bytes, where that says little (``https://…``, a name).

    What is left matches more, and ends where the whole ends. The engine then begins at ``.webhook.office.com`` and not at
    each address of the web, which it would have to follow up to there.
    """
    parts = list(_flat(node))
    runs: list[tuple[int, int]] = []  # length, index of the first part
    for index, part in enumerate(parts):
        fixed = isinstance(part, Chars) and len(unfolded(part.allowed)) == 1 and not part.allowed & ESCAPABLE
        if fixed and runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0] + 1, runs[-1][1])
        elif fixed:
            runs.append((1, index))
    runs.sort(key=lambda run: (-run[0], run[1]))
    in_web = tuple(parts[: len(_WEB)]) == _WEB
    for length, start in runs if in_web else runs[:1]:
        if length < LONG_RUN:
            break
        lead = [part for part in parts[:start] if not isinstance(part, Chars) or len(part.allowed) > 2]
        varies = in_web or any(width(part)[1] - width(part)[0] > 3 for part in lead)
        if varies and sum(width(part)[0] for part in lead) <= (MOST_OF_ADDRESS if in_web else MOST_LEFT_OUT):
            return Sequence(tuple(parts[start:]))
    return node


SHORT_BEGINNING: Final = 4
"""Fixed bytes at the beginning that are too few to be looked for where others follow that are nearly fixed."""

MOST_BEGINNINGS: Final = 6
"""At most so many trees are made of one."""


def beginnings(node: Node) -> list[Node]:
    """The tree, once for each of its beginnings where these are few and what they share is short.

    Of ``gh[pousr]_…`` in one expression the engine looks for ``gh``, and follows up each; of five for ``ghp_`` and so on.
    """
    found = [node]
    while True:
        longer = [one for tree in found for one in _told_apart(tree)]
        if longer == found or len(longer) > MOST_BEGINNINGS:
            return found
        found = longer


def _told_apart(node: Node) -> list[Node]:
    """The trees that go on differently behind a short fixed beginning; the tree itself where there are no such.

    Of ``hc[a-z]ik_`` it begins at ``ik_``: two bytes are too few to be looked for at all.
    """
    parts = list(_flat(node))
    length = sum(1 for _ in takewhile(_single, parts))
    match parts[length : length + 1]:
        case [Choice(options)] if length or len(frozenset().union(*map(first, options))) == 1:
            pass
        case [Chars(allowed)] if length > 1 and len(unfolded(allowed)) == len(allowed):
            if length == 2 and len(allowed) > MOST_BEGINNINGS:
                return [Sequence(tuple(parts[3:]))]
            options = tuple(Chars(frozenset((byte,))) for byte in sorted(allowed))
        case [Repeat(inner, 0, 1)] if length > 1 and len(first(inner)) == 1:
            options = (inner, EMPTY)
        case _:
            return [node]
    if length >= SHORT_BEGINNING or len(options) > MOST_BEGINNINGS:
        return [node]
    return [Sequence((*parts[:length], option, *parts[length + 1 :])) for option in options]


def _flat(node: Node) -> Iterator[Node]:
    if isinstance(node, Sequence):
        for part in node.parts:
            yield from _flat(part)
    else:
        yield node


def _with_runs(node: Node) -> Iterator[Node | bytes]:
    """The parts of a sequence, fixed bytes that follow each other taken together."""
    run = b""
    for part in _flat(node):
        if isinstance(part, Chars) and len(part.allowed) == 1:
            run += bytes(part.allowed)
            continue
        if run:
            yield run
            run = b""
        yield part
    if run:
        yield run


def unfolded(allowed: frozenset[int]) -> frozenset[int]:
    """The bytes with upper case taken for lower."""
    return frozenset(byte | 0x20 if byte in LETTERS else byte for byte in allowed)


def _wire_repeat(body: str, least: int, most: int | None, trailing: bool) -> str:
    least = min(least, 512)  # a longer body says no more, and costs states
    if trailing:
        return body + _bounds(least, least) if least else ""
    if most != least and (most is None or most > MOST_COUNTED):
        most = None  # counting costs a state for each, and the second pass counts anyway
    return body + _bounds(least, None if most is None or most > 512 else most)


RESERVED: Final = frozenset(range(0x21, 0x7F)) - ALNUM - frozenset(b"_.-~")
"""Bytes that percent-encoding writes as ``%XX``; letters, digits, ``_``, ``.``, ``-`` and ``~`` never are (RFC 3986)."""


def percent(node: Node) -> Node | None:
    """The tree of the percent-encoded form; None where nothing fixed in it would be encoded, so that its wire form serves.

    Only single bytes change: a class takes in what escapes are written with anyway.
    """
    changed = False

    def encode(part: Node) -> Node:
        nonlocal changed
        match part:
            case Chars(allowed):
                if len(allowed) > 1 or not allowed & RESERVED:
                    return part
                changed = True
                byte = min(allowed)
                digits = [frozenset(digit.encode() + digit.upper().encode()) for digit in f"{byte:02x}"]
                twice = Repeat(Sequence((Chars(frozenset(b"2")), Chars(frozenset(b"5")))), 0, 1)
                return Sequence((Chars(frozenset(b"%")), twice, *map(Chars, digits)))
            case Sequence(parts):
                return Sequence(tuple(map(encode, parts)))
            case Choice(options):
                return Choice(tuple(map(encode, options)))
            case Repeat(inner, least, most):
                return Repeat(encode(inner), least, most)

    encoded = encode(node)
    return encoded if changed else None


# -- paths and samples -------------------------------------------------------------------------------------------------

Path = tuple[frozenset[int], ...]


def paths(node: Node, limit: int = 64, longest: int = 64) -> list[Path]:
    """The byte sets by position with which every match begins, one list for each way through the expression.

    Each path is cut where positions stop being fixed (a repeat of varying count) or at ``longest``. Returns an empty list
    where there are more than ``limit`` ways.
    """
    found: list[tuple[Path, bool]] = [((), True)]
    try:
        found = _extend(found, node, limit, longest)
    except OverflowError:
        return []
    return [path for path, _ in dict.fromkeys(found)]


def _extend(found: list[tuple[Path, bool]], node: Node, limit: int, longest: int) -> list[tuple[Path, bool]]:
    if not any(growing for _, growing in found):
        return found
    match node:
        case Chars(allowed):
            out = [((*path, allowed), len(path) + 1 < longest) if growing else (path, False) for path, growing in found]
        case Sequence(parts):
            out = found
            for part in parts:
                out = _extend(out, part, limit, longest)
        case Choice(options):
            out = [item for option in options for item in _extend(found, option, limit, longest)]
        case Repeat(Chars(allowed), least, most):
            out = [
                ((*path, *[allowed] * min(least, longest - len(path))), most == least and len(path) + least < longest)
                if growing
                else (path, False)
                for path, growing in found
            ]
        case Repeat(inner, least, most):
            out = found
            for _ in range(min(least, longest)):
                out = _extend(out, inner, limit, longest)
            if most == least + 1:
                out = out + _extend(out, inner, limit, longest)
            elif most != least:
                out = [(path, False) for path, _ in out]
    out = list(dict.fromkeys(out))
    if len(out) > limit:
        raise OverflowError
    return out


def prefixes(node: Node) -> list[bytes]:
    """The literals with which matches begin, such as ``sk_live_`` and ``sk_test_``; none where a class comes first."""
    found = set()
    for path in paths(node):
        literal = bytearray()
        for allowed in path:
            if len(allowed) != 1:
                break
            literal.append(min(allowed))
        found.add(bytes(literal))
    return sorted(found - {b""})


_READABLE: Final = frozenset(range(0x21, 0x7F))


@lru_cache(maxsize=4096)
def _choices(allowed: frozenset[int]) -> bytes:
    choices = bytes(sorted(allowed & ALNUM) or sorted(allowed & _READABLE) or sorted(allowed))
    if not choices:
        raise ExpressionError("a class that matches nothing")
    return choices


def sample(node: Node, rng: random.Random) -> bytes:
    """A random match, of readable characters where the expression leaves the choice."""
    out = bytearray()
    _sample(node, rng, out)
    return bytes(out)


def _sample(node: Node, rng: random.Random, out: bytearray) -> None:
    match node:
        case Chars(allowed):
            choices = _choices(allowed)
            out.append(choices[0] if len(choices) == 1 else rng.choice(choices))
        case Sequence(parts):
            for part in parts:
                _sample(part, rng, out)
        case Choice(options):
            _sample(rng.choice(options), rng, out)
        case Repeat(inner, least, most):
            longest = max(least, 20) if most is None else most
            count = rng.randint(least, min(longest, least + 40))
            if isinstance(inner, Chars):
                out += bytes(rng.choices(_choices(inner.allowed), k=count))
                return
            for _ in range(count):
                _sample(inner, rng, out)
