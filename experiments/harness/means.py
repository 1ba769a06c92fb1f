"""Means over seeds as the short table of a page has them: a number with its interval in one cell."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scipy.special import stdtrit

from experiments.harness.rows import Record


INTERVAL = "; in brackets a 95 % interval of the mean over seeds (Student's t), where there are several"
RANGE = "; in brackets the smallest and the largest of the seeds, where there are several"
Show = Callable[[float], str]


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}"


def percent(value: float) -> str:
    """A share with a decimal."""
    return f"{100 * value:.1f} %"


def seeds_of(count: int) -> str:
    """The number of seeds in words, such as "3 seeds"."""
    return "1 seed" if count == 1 else f"{count} seeds"


def with_interval(values: Sequence[float | None], show: Show = number) -> str:
    """The mean of the values that are known, with the 95 % interval of a mean where there are several."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "-"
    mean = statistics.fmean(known)
    if len(known) < 2:
        return show(mean)
    half = float(stdtrit(len(known) - 1, 0.975)) * statistics.stdev(known) / math.sqrt(len(known))
    return f"{show(mean)} [{show(mean - half)}, {show(mean + half)}]"


def share_with_interval(values: Sequence[float | None]) -> str:
    """The same of shares in per cent, whose interval is cut at 0 and 1."""
    return with_interval(values, lambda value: percent(min(1.0, max(0.0, value))))


def with_ends(value: float, low: float, high: float, show: Show = number) -> str:
    """A value with an interval that is known."""
    return f"{show(value)} [{show(low)}, {show(high)}]"


def with_range(values: Sequence[float | None], show: Show = number, beyond: str = "beyond") -> str:
    """The median of the values, with the smallest and the largest where there are several; None is `beyond` all."""
    known = sorted(math.inf if value is None else value for value in values)
    if not known:
        return "-"

    def said(value):
        return show(value) if math.isfinite(value) else beyond

    middle = said(statistics.median_low(known))
    return middle if len(known) < 2 else f"{middle} [{said(known[0])}, {said(known[-1])}]"


def means(
    records: Iterable[Record], by: Sequence[str], of: Mapping[str, Callable[[Sequence[Any]], str]]
) -> list[Record]:
    """A row for each combination of the fields `by`, in the order of its first appearance.

    Args:
        records: rows of a study.
        by: names of fields that tell groups apart.
        of: by the name of a field, how the values of a group are written.
    """
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record.get(name) for name in by), []).append(record)
    return [
        {**dict(zip(by, key, strict=True)), "n": len(own)}
        | {name: write([one.get(name) for one in own]) for name, write in of.items()}
        for key, own in groups.items()
    ]
