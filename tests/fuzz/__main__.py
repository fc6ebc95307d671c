"""The long run: ``python -m tests.fuzz [TARGET …] --seconds 60 --seed 1``, what ``make fuzz`` calls.

With atheris installed its coverage guides the mutations, a process for each target; without it the plain loop runs. Inputs that
found something are printed, and kept in ``.cache/fuzz``.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import mutate

KEPT = Path(__file__).parent.parent.parent / ".cache" / "fuzz"
SLOWEST_SECONDS = 20.0


def _guided(name: str, seed: int, seconds: float) -> None:
    """Runs in a process of its own: libFuzzer ends it."""
    import random

    import atheris

    with atheris.instrument_imports(include=["service"]):
        from tests.fuzz.targets import TARGETS
    target, seeds, _ = TARGETS[name]
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(random.Random(f"{name} {seed}"))):
        (folder / f"seed-{number}").write_bytes(data)
    options = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", "-max_len=4096", f"-timeout={SLOWEST_SECONDS:.0f}"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={KEPT}/{name}-", str(folder)], target)
    atheris.Fuzz()


def main() -> int:
    """Runs the targets one after the other, each for its share of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all if none is named")
    parser.add_argument("--seconds", type=float, default=60.0, help="in all (default 60)")
    parser.add_argument("--seed", type=int, default=round(time.time()), help="of the mutations (default: the time)")
    parser.add_argument("--guided", help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help="without atheris, though it is installed")
    arguments = parser.parse_args()
    if arguments.guided:
        _guided(arguments.guided, arguments.seed, arguments.seconds)
        return 0
    from tests.fuzz.targets import TARGETS

    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"there is no target {min(unknown)!r}; one of {', '.join(TARGETS)} expected")
    KEPT.mkdir(parents=True, exist_ok=True)
    names = arguments.targets or list(TARGETS)
    share = arguments.seconds / len(names)
    guided = importlib.util.find_spec("atheris") is not None and not arguments.plain
    print(f"seed {arguments.seed}, {share:.0f} s a target, {'guided by coverage' if guided else 'plain mutations'}")
    failed = False
    for name in names:
        if guided:
            command = [sys.executable, "-m", "tests.fuzz", "--guided", name]
            done = subprocess.run([*command, "--seconds", str(share), "--seed", str(arguments.seed)])
            failed |= done.returncode != 0
            print(f"{name}: {'sound' if done.returncode == 0 else 'see above'}")
            continue
        try:
            count = mutate.run(name, arguments.seed, seconds=share, slowest=SLOWEST_SECONDS)
            print(f"{name}: {count:,} inputs, sound")
        except Exception as error:
            failed = True
            note = "\n".join(getattr(error, "__notes__", ()))
            (KEPT / f"{name}-{arguments.seed}.txt").write_text(note)
            print(f"{name}: {type(error).__name__}: {error}\n{note}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
