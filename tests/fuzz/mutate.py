"""A plain mutation loop: what runs where no coverage guides, and in every test run."""

import random
import time
from collections.abc import Iterator, Sequence

MOST_BYTES = 4096


def mutations(seeds: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Inputs for ever: the seeds as they are, then cut, joined, repeated, flipped and salted with words."""
    yield from seeds
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(1 + int(rng.expovariate(0.5))):
            _change(data, seeds, words, rng)
        yield bytes(data[:MOST_BYTES])


def _change(data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    stop = min(len(data), at + 1 + int(rng.expovariate(0.1)))
    match rng.randrange(8):
        case 0:
            del data[at:stop]
        case 1:
            data[at:at] = data[at:stop] * rng.choice((1, 2, 30))
        case 2:
            data[at:stop] = rng.randbytes(stop - at)
        case 3:
            data[at:at] = rng.choice(words) * rng.choice((1, 1, 1, 50))
        case 4 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 5:
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other) + 1) :]
        case 6:
            data[at:stop] = rng.choice(words)
        case _:
            data[at:at] = bytes((rng.choice(b'\0\x01\x7f\x80\xff"\\{}[]()=,.-\n '),))


class SlowError(AssertionError):
    """An input took longer than a fuzzed input may."""


def run(name: str, seed: int, count: int | None = None, seconds: float | None = None, slowest: float | None = None) -> int:
    """Gives a target so many inputs, or inputs for so long; the number of them.

    Raises:
        Exception: what the target raised, with the input as a note.
    """
    from tests.fuzz.targets import TARGETS

    target, seeds, words = TARGETS[name]
    rng = random.Random(f"{name} {seed}")
    began = time.monotonic()
    done = 0
    for data in mutations(seeds(rng), words, rng):
        if (count is not None and done >= count) or (seconds is not None and time.monotonic() - began >= seconds):
            break
        before = time.process_time()
        try:
            target(data)
            if slowest is not None and time.process_time() - before > slowest:
                raise SlowError(f"{time.process_time() - before:.1f} s of CPU")
        except Exception as error:
            error.add_note(f"target {name}, seed {seed}, input {done}: {data!r}")
            raise
        done += 1
    return done
