"""The record of a device as lines of at most 80 columns, the last of them the line to report."""

from collections.abc import Iterator
from typing import Any


WIDTH = 80
BOUNDS = {"operations": "ops", "bytes": "bytes", "neither": "-"}


def table(record: dict[str, Any]) -> str:
    """All that a record says: ceilings, what is not right, times by piece of work, and the line to report."""
    lines = [*_head(record), "", *_right(record["rows"]), "", *_fast(record["rows"]), ""]
    left_out = record.get("left_out") or []
    if left_out:
        lines += [f"no time was left for {len(left_out)} cases; --minutes N takes them too", ""]
    return "\n".join(line[:WIDTH] for line in [*lines, *wrapped(report_line(record))])


def _head(record):
    versions = record["versions"]
    yield f"{record['device']} ({record['platform']}), jax {versions.get('jax')}, {record['date']}"
    if record["smoke"]:
        yield "a smoke test: numbers mean nothing"
    ceilings = record.get("ceilings", {})
    products = ", ".join(f"{name} {rate / 1e12:.3g}" for name, rate in ceilings.items() if name != "bytes")
    if ceilings:
        yield f"ceilings: {products} TFLOP/s; {ceilings['bytes'] / 1e9:.4g} GB/s"


def _right(rows):
    asked = [row for row in rows if row["part"] == "right"]
    right = [row for row in asked if row.get("right")]
    yield f"RIGHT: {len(right)} of {sum('refused' not in row for row in asked)} cases, against float64 on the host"
    for row in asked:
        if "failed" in row:
            yield f"  FAILED  {row['case']}: {row['failed']}"
        elif row.get("right") is False:
            error = "no number" if row["error"] is None else f"{row['error']:.1e}"
            yield f"  WRONG   {row['case']}: error {error}, allowed {row['bound']:.0e}"
        elif "refused" in row:
            yield f"  not here  {row['case']}"
    forms = dict.fromkeys(row["case"].rpartition(" ")[2] for row in right if row["bound"])
    for form in forms:
        errors = [row["error"] for row in right if row["case"].endswith(f" {form}") and row["bound"]]
        yield f"  {form:<9} largest error {max(errors):.1e} of {len(errors)} cases"


def _fast(rows):
    yield f"FAST:{'median':>46} {'compile':>8} {'peak':>7} {'bound':>6}{'':1}{'of':>4}"
    yield f"{'work, by':<40} {'ms':>10} {'s':>8} {'MiB':>7} {'by':>6} {'it':>4}"
    work = None
    for row in timed_rows(rows):
        if row["work"] != work:
            work = row["work"]
            yield work
        name = f"  {row['by']}, {row['form']}"
        share = row.get("share_of_ceiling")
        yield (
            f"{name:<40} {row['median_ms']:>10.4g} {_number(row.get('compile_s'), '.1f'):>8} "
            f"{_number(row.get('peak_MiB'), '.0f'):>7} {BOUNDS.get(row.get('bound_by'), ''):>6} "
            f"{'' if share is None else f'{100 * share:.0f}%':>4}"
        )
    for row in rows:
        if row["part"] == "fast" and "failed" in row:
            yield f"  FAILED  {row['case']}: {row['failed']}"


def timed_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that have a time, those of one piece of work beside each other."""
    found = [row for row in rows if row["part"] == "fast" and "median_ms" in row]
    order = list(dict.fromkeys(row["work"] for row in found))
    return sorted(found, key=lambda row: order.index(row["work"]))


def times_of_gradients(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Milliseconds of the gradients of a layer in float32, by piece of work and by who computes them."""
    works: dict[str, dict[str, float]] = {}
    for row in timed_rows(rows):
        if row.get("direction") == "both" and row["form"] == "float32":
            times = works.setdefault(row["work"], {})
            times[row["by"]] = min(row["median_ms"], times.get(row["by"], row["median_ms"]))
    return works


def report_line(record: dict[str, Any]) -> str:
    """One line that says what ran where, how much of it was right, and the fastest engine of each layer."""
    asked = [row for row in record["rows"] if row["part"] == "right" and "refused" not in row]
    wrong = [row["case"] for row in asked if not row.get("right")]
    best = "; ".join(_best(record["rows"]))
    return (
        f"REPORT {record['device']}, jax {record['versions'].get('jax')}: {len(asked) - len(wrong)} of {len(asked)} "
        f"right{', wrong: ' + ', '.join(wrong) if wrong else ''}; {best or 'no times'}"
    )


def _best(rows) -> Iterator[str]:
    for work, times in times_of_gradients(rows).items():
        least = min(times, key=lambda name: times[name])
        yield f"{work} {least} {times[least]:.4g} ms"


def wrapped(text: str) -> list[str]:
    """A long line as several of the width, cut at spaces."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) + 1 > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _number(value, form):
    return "" if value is None else format(value, form)
