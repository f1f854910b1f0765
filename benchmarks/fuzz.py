"""Files and launch lines broken at random: whatever is wrong must be one clear error, quickly.

    python benchmarks/fuzz.py CORPUS --minutes 30 --seed 1

CORPUS holds DeepStream's files and `launch_lines.txt`. Each round takes one of them, or a pipeline file of examples/,
breaks it (bytes, lines, tokens, parts of others) and reads it as its kind is read. Anything but a MillraceError, and
anything that takes longer than LIMIT seconds, is a finding: it is printed, and the text is kept in --keep.
"""

from __future__ import annotations

import argparse
import collections
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from millrace.cli.check_deepstream import CHECKS
from millrace.config import loads
from millrace.config.build import build
from millrace.config.launch import load_launch
from millrace.core.errors import MillraceError
from millrace.deepstream.kinds import kind_of

LIMIT = 10  # seconds that one reading may take
MEMORY = 6 << 30  # bytes of address space
NASTY = (
    "", "-1", "0", "1e400", "nan", "99999999999999999999", "0x10", ";", ";;", "=", "[", "]", "[a", "a]", "{", "}", "\"", "'",
    "\\", "\x00", "\ufeff", "é", "\U0001f600", "../../etc/passwd", "%s%s%n", "null", "true", "~", "&a *a", "!!python/none",
    "<<: *x", "!", "! !", "name.", ".sink_0", "(", ")", ",", "video/x-raw", "width=(int)", "[1,2", "a" * 5000, "[" * 300, "{" * 300,
)  # fmt: skip

ENVIRONMENT = {"VIDEO": "v.mp4", "MODEL": "street"}

Reader = Callable[[str, Path], object]


def broken(text: str, others: list[str], rng: random.Random) -> str:
    """The text with one to five things wrong."""
    for _ in range(rng.randint(1, 5)):
        way = rng.randrange(8)
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        where = rng.randrange(len(text) + 1)
        if way == 0:
            text = text[:where] + rng.choice(NASTY) + text[where:]
        elif way == 1:
            text = text[:where] + text[where + rng.randint(1, 40) :]
        elif way == 2:
            text = "\n".join([*lines[:at], *lines[at + rng.randint(1, 3) :]])
        elif way == 3:
            text = "\n".join([*lines[:at], lines[at], *lines[at:]])
        elif way == 4:
            left, mark, _ = lines[at].partition(rng.choice(("=", ":", "!")))
            text = "\n".join([*lines[:at], left + mark + rng.choice(NASTY), *lines[at + 1 :]])
        elif way == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            text = text[:where] + other[start : start + rng.randint(1, 400)] + text[where:]
        elif way == 6:
            text = text[:where]
        else:
            letters = list(text)
            for _ in range(rng.randint(1, 8)):
                if letters:
                    letters[rng.randrange(len(letters))] = chr(rng.randrange(1, 0x250))
            text = "".join(letters)
    return text


def subjects(corpus: Path) -> list[tuple[str, str, str, Reader]]:
    """(kind, file name, text, what reads it) of everything there is."""
    found: list[tuple[str, str, str, Reader]] = []
    for path in sorted(corpus.rglob("*")):
        if path.is_file() and path.suffix in (".txt", ".yml", ".yaml", ".config", ".pbtxt", ".prototxt", ".cfg"):
            kind = kind_of(path)
            if kind in CHECKS:
                found.append((kind, path.name, path.read_text(errors="replace"), by_file(CHECKS[kind])))
    for path in sorted(Path(__file__).parents[1].glob("examples/**/*.yaml")):
        found.append(
            ("pipeline", path.name, path.read_text(), lambda text, folder: build(loads(text, environment=ENVIRONMENT)))
        )
    lines = corpus / "launch_lines.txt"
    if lines.is_file():
        for line in lines.read_text().splitlines():
            if "!" in line:
                found.append(("launch", "line", line, lambda text, folder: by_line(text)))
    return found


def by_line(text: str) -> object:
    """A launch line, and its pipeline where nothing that it names is missing."""
    found = load_launch(text)
    return found if found.missing else build(found.plan)


def by_file(check: Callable[[Path], object]) -> Reader:
    def read(text: str, path: Path) -> object:
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return check(path)

    return read


def too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"longer than {LIMIT} s")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("corpus", type=Path)
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "millrace-fuzz")
    options = arguments.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, too_long)
    rng = random.Random(options.seed)
    known = subjects(options.corpus)
    texts = [text for _, _, text, _ in known]
    kinds = sorted({kind for kind, _, _, _ in known})
    print(f"{len(known)} texts of {len(kinds)} kinds: {', '.join(kinds)}")
    counts: collections.Counter[str] = collections.Counter()
    findings: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + options.minutes * 60
    longest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            wanted = rng.choice(kinds)  # every kind as often, however many files it has
            kind, name, text, reader = rng.choice([each for each in known if each[0] == wanted])
            made = broken(text, texts, rng)
            path = Path(folder) / name
            began = time.monotonic()
            signal.alarm(LIMIT)
            try:
                reader(made, path)
                outcome = "read"
            except MillraceError:
                outcome = "refused"
            except Exception as error:  # noqa: BLE001  that is what is looked for
                place = traceback.extract_tb(error.__traceback__)[-1]
                outcome = "FOUND"
                told = (
                    f"{kind}: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:120]}"
                )
                key = told.rpartition(": ")[0]
                if not findings[key]:
                    print(told, flush=True)
                    (options.keep / f"{kind}-{len(findings)}-{name}").write_text(made, errors="surrogatepass")
                findings[key] += 1
            finally:
                signal.alarm(0)
            longest = max(longest, (time.monotonic() - began, kind))
            counts[f"{kind} {outcome}"] += 1
    for what, count in sorted(counts.items()):
        print(f"{what:30} {count}")
    print(
        f"{sum(counts.values())} texts, {len(findings)} kinds of findings, longest reading {longest[0]:.2f} s ({longest[1]})"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
