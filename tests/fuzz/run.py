"""Damaged files for every reader, found by the coverage of the code (atheris, libFuzzer).

    python tests/fuzz/run.py [READER ...] [--inputs N] [--seed S] [--faults FOLDER]

Each reader gets `N` inputs, in a process of its own. An exception that is no refusal, a result
that is not fit for use, ten seconds or 2 GB for a file of some kilobytes are faults: the file
that made it is kept in FOLDER. Exit code 1 when there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

#: libFuzzer
LIMITS = ("-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0")
#: whose branches guide the search
INSTRUMENTED = ["bids_gan", "nibabel", "tomllib", "tomli"]


def main() -> int:
    options = parse()
    if options.here:
        return fuzz_here(options)
    from readers import READERS

    faulty = []
    for name in options.readers or READERS:
        print(f"==> {name}: {options.inputs} inputs", flush=True)
        if fuzz_apart(name, options) != 0:
            faulty.append(name)
    print(f"faults in: {', '.join(faulty)}; inputs in {options.faults}" if faulty else "no faults")
    return int(bool(faulty))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--inputs", type=int, default=5000, help="for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=Path, default=Path("fuzz-faults"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def fuzz_apart(name: str, options: argparse.Namespace) -> int:
    """Fuzz one reader in a process of its own, since libFuzzer ends the process it runs in."""
    command = [sys.executable, __file__, name, "--here", "--faults", str(options.faults)]
    command += ["--inputs", str(options.inputs), "--seed", str(options.seed)]
    return subprocess.run(command, check=False).returncode


def fuzz_here(options: argparse.Namespace) -> int:
    import atheris

    logging.disable()
    with atheris.instrument_imports(include=INSTRUMENTED):
        from readers import READERS
    (name,) = options.readers
    reader = READERS[name]
    options.faults.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        for number, content in enumerate(reader.seeds()):
            (corpus / str(number)).write_bytes(content)
        arguments = [
            sys.argv[0],
            str(corpus),
            f"-runs={options.inputs}",
            f"-seed={options.seed}",
            f"-artifact_prefix={options.faults}/{name}-",
            *LIMITS,
        ]
        atheris.Setup(arguments, one_input(reader.read, Path(scratch) / f"file{reader.suffix}"))
        atheris.Fuzz()
    return 0


def one_input(read: Callable[[Path], None], path: Path) -> Callable[[bytes], None]:
    """What libFuzzer calls: write the input to `path` and have it read."""
    from bids_gan.errors import BidsGanError

    def test(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(BidsGanError):
            read(path)

    return test


if __name__ == "__main__":
    sys.exit(main())
