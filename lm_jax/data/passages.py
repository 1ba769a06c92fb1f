"""Passages of the Python standard library's sources with the package that each is from: labelled texts without a file.

Sources come with every CPython. A passage is some consecutive lines; most packages are recognised by their words, some
only by their style. The text differs a little between versions of Python, so the source says which it is.
"""

import platform
import sysconfig
from pathlib import Path


PACKAGES = ("asyncio", "ctypes", "email", "http", "importlib", "json", "logging", "multiprocessing", "unittest", "xml")
LINES, FEWEST_WORDS = 12, 12  # of a passage
MOST = 300  # passages of a package, spread over its files


def library_passages() -> tuple[str, list[tuple[str, str, str]]]:
    """Returns where the passages are from, and (package, text, place) of each, the packages in turn."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    by_package = [_spread(_passages(folder / package, package)) for package in PACKAGES]
    longest = max(map(len, by_package))
    passages = [of_one[number] for number in range(longest) for of_one in by_package if number < len(of_one)]
    return f"standard library of Python {platform.python_version()}", passages


def _passages(folder, package):
    found = []
    for file in sorted(folder.rglob("*.py")):
        if "test" in file.relative_to(folder).parts[:-1]:
            continue
        lines = [line for line in file.read_text("utf-8", errors="replace").split("\n") if line.strip()]
        for start in range(0, len(lines) - LINES + 1, LINES):
            text = " ".join(" ".join(lines[start : start + LINES]).split())
            if len(text.split()) >= FEWEST_WORDS:
                found.append((package, text, f"{package}/{file.name}"))
    return found


def _spread(passages):
    """At most MOST of them, at equal distances."""
    step = max(1.0, len(passages) / MOST)
    return [passages[int(number * step)] for number in range(min(MOST, len(passages)))]
