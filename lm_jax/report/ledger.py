"""A comparison of runs (the rows of `lm_jax.compare`) as people and programs read it: table, notes, JSON, CSV, PNG."""

import contextlib
import csv
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from lm_jax.errors import UserError
from lm_jax.report import plain_json
from lm_jax.report.console import clock, short
from lm_jax.report.style import COLOURS, OTHER_COLOUR


FORMATS = ("json", "csv", "png")
FEW_BLOCKS = 20
MIB = 2**20


def table(rows: list[dict[str, Any]]) -> str:
    """Aligned lines: a head, and one for each row."""
    same = rows[0]["perplexity"] is not None
    columns = {
        "run": [row["name"] for row in rows],
        "size": [_size(row) for row in rows],
        "MiB": [f"{row['bytes'] / MIB:,.2f}" for row in rows],
        "trained": ["-" if row["training_seconds"] is None else clock(row["training_seconds"]) for row in rows],
        "perplexity [95 %]": [_with_interval(row, "perplexity", short) for row in rows],
    }
    if same:
        columns["bits/char"] = [_bits(row["bits_per_character"]) + _mark(row) for row in rows]
    else:
        columns["bits/char [95 %]"] = [_with_interval(row, "bits_per_character", _bits) + _mark(row) for row in rows]
    columns["bits/byte"] = [_bits(row["bits_per_byte"]) + _mark(row) for row in rows]
    columns["unknown"] = [f"{row['unk_rate']:.2%}" for row in rows]
    columns["tokens/s"] = [f"{row['tokens_per_second']:,.0f}" for row in rows]
    if len(rows) > 1:
        unit = "nats/token" if same else "bits/char"
        columns[f"{unit} vs row above [95 %]"] = [_with_interval(row, "difference", _signed) for row in rows]
        columns["p"] = ["-" if row["p_value"] is None else _p_value(row["p_value"]) for row in rows]
    return "\n".join(_aligned(columns))


def _aligned(columns):
    widths = [max(map(len, (name, *cells))) for name, cells in columns.items()]
    for line in (tuple(columns), *zip(*columns.values(), strict=True)):
        first, *others = zip(line, widths, strict=True)
        yield "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)])


def _size(row):
    counts = {"parameters": row["parameters"], "n-grams": row["ngrams"]}
    return " + ".join(f"{count:,} {what}" for what, count in counts.items() if count is not None)


def _with_interval(row, name, form):
    if row[name] is None:
        return "-"
    if math.isinf(row[name]):
        return form(row[name])
    return f"{form(row[name])} [{form(row[f'{name}_low'])}, {form(row[f'{name}_high'])}]"


def _bits(number):
    return f"{number:.3f}"


def _mark(row):
    """Of bits that leave something out."""
    return "" if row["spelled"] else "*"


def _signed(number):
    return f"{number:+.4f}" if number else "0"


def _p_value(p):
    return f"{p:.4f}" if p >= 1e-4 else f"{p:.0e}"


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """What the table is of, how sure it is, and why a column is blank; a line each."""
    first = rows[0]
    tokens = f"{first['tokens']:,} tokens, " if first["perplexity"] is not None else ""
    found = [
        f"text: {first['source']}, split {first['split']}: {tokens}{first['characters']:,} characters, "
        f"cut into {first['eval_streams']} streams"
    ]
    if first["perplexity"] is None:
        sizes = "; ".join(
            f"{row['name']}: {row['vocabulary']:,} types ({row['level']}), {row['tokens']:,} tokens" for row in rows
        )
        found.append(f"no perplexities, which do not compare where the vocabularies differ: {sizes}")
    if not all(row["spelled"] for row in rows):
        found.append(
            "* too low: the tokens do not tell how unknown words are spelled, or what white space there is"
            + ("; not tested" if first["perplexity"] is None else "")
        )
    found += [f"{r['name']} gives probability 0 to {r['impossible']:,} tokens" for r in rows if r["impossible"]]
    found += [_weights(row) for row in rows if row["weights"] is not None]
    found += _methods(rows)
    return found


def _weights(row):
    parts = " + ".join(f"{weight:.3f} {name}" for name, weight in row["weights"].items())
    return f"{row['name']} = {parts}, weights fitted on the validation text"


def _methods(rows):
    first = rows[0]
    kinds = dict.fromkeys((row["blocks"], row["block_size"], row["block_unit"]) for row in rows)
    blocks = " or ".join(f"{_count(k, 'block')} of {_count(size, unit)}" for k, size, unit in kinds)
    test = "; p: sign flips of the same blocks, two-sided, not corrected for many rows" if len(rows) > 1 else ""
    yield f"intervals: {first['samples']:,} resamples of {blocks}, seed {first['seed']}{test}"
    if any(unit == "token" for *_, unit in kinds):
        yield "blocks are pieces of the token stream, because the text has too few lines"
    if min(kinds)[0] < FEW_BLOCKS:
        yield f"intervals and p are rough: fewer than {FEW_BLOCKS} blocks"


def _count(number, thing):
    return f"{number:,.5g} {thing}{'s' * (number != 1)}"


def to_json(rows: list[dict[str, Any]]) -> str:
    """One JSON object: rows and notes. An infinite number is null (`impossible` says why)."""
    return plain_json.to_json({"rows": rows, "notes": notes(rows)})


def check_folder(folder: str | Path) -> Path:
    """The path of a folder that can be written, or made and written; raises UserError otherwise. Leaves nothing."""
    path = Path(folder).expanduser().absolute()
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UserError(f"--out must be a folder that can be written, got {folder}: {error.strerror}") from error
    finally:
        for made in missing:
            with contextlib.suppress(OSError):
                made.rmdir()


def write_ledger(rows: list[dict[str, Any]], folder: str | Path, name: str = "ledger") -> list[Path]:
    """Writes NAME.json, NAME.csv and NAME.png, and returns their paths. Raises UserError for a folder that cannot be
    written."""
    path = check_folder(folder)
    paths = [path / f"{name}.{form}" for form in FORMATS]
    try:
        path.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(to_json(rows) + "\n")
        with paths[1].open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        figure(rows).savefig(paths[2], dpi=120)
    except OSError as error:
        raise UserError(f"--out must be a folder that can be written, got {folder}: {error.strerror}") from error
    return paths


def _cell(value):
    return json.dumps(value) if isinstance(value, dict) else value


def figure(rows: list[dict[str, Any]]) -> Any:
    """A dot with its 95 % interval for each row, the first at the top: perplexity, or bits per character without."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    name = "bits_per_character" if rows[0]["perplexity"] is None else "perplexity"
    drawn = Figure(figsize=(7.2, 1.4 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, name)
    values = [row[name] for row in rows if math.isfinite(row[name])]
    if values and max(values) > 4 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 100 * min(values) else (1,)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    marked = name == "bits_per_character" and not all(row["spelled"] for row in rows)
    axes.set_yticks(range(len(rows)), [row["name"] + (_mark(row) if marked else "") for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(
        f"{name.replace('_', ' ')}, {rows[0]['split']} text; bars: 95 % intervals"
        + ("\n* too low: unknown words or white space left out" if marked else "")
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(alpha=0.3, axis="x")
    axes.margins(x=0.12)
    families = list(dict.fromkeys(row["family"] for row in rows))
    if len(families) > 1:
        handles = [axes.plot([], [], "o-", color=_colour(family), label=family)[0] for family in families]
        drawn.legend(handles=handles, loc="outside upper right", ncols=len(families), frameon=False)
    return drawn


def _colour(family):
    return COLOURS.get(family, OTHER_COLOUR)


def _draw_row(axes, place, row, name):
    colour = _colour(row["family"])
    if not math.isfinite(row[name]):
        axes.text(0.99, place, "infinite", color=colour, ha="right", va="center", transform=axes.get_yaxis_transform())
        return
    low, high = (row[name + end] if math.isfinite(row[name + end]) else row[name] for end in ("_low", "_high"))
    axes.plot([low, high], [place, place], "|-", color=colour, linewidth=1.5, markersize=10, markeredgewidth=1.5)
    axes.plot([row[name]], [place], "o", color=colour, markersize=5)
    label = {"xy": (row[name], place), "xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
    axes.annotate(short(row[name]), **label, color=colour, fontsize=9)
