"""A comparison of runs as people read it in the terminal: the table, and notes below it."""

import math
from collections.abc import Sequence

from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.numbers import clock, short
from lm_jax.report.table import Table


FEW_BLOCKS = 20
MIB = 2**20


def table(rows: Sequence[ComparisonRow]) -> Table:
    """Returns a row for each model, and the columns that a narrow terminal does without."""
    same = rows[0].perplexity is not None
    columns = {
        "run": [row.name for row in rows],
        "size": [_size(row) for row in rows],
        "MiB": [f"{row.bytes / MIB:,.2f}" for row in rows],
        "trained": ["-" if row.training_seconds is None else clock(row.training_seconds) for row in rows],
        "perplexity [95 %]": [_with_interval(row, "perplexity", short) for row in rows],
    }
    if same:
        columns["bits/char"] = [_bits(row.bits_per_character) + spelling_mark(row) for row in rows]
    else:
        columns["bits/char [95 %]"] = [
            _with_interval(row, "bits_per_character", _bits) + spelling_mark(row) for row in rows
        ]
    columns["bits/byte"] = [_bits(row.bits_per_byte) + spelling_mark(row) for row in rows]
    columns["unknown"] = [f"{row.unk_rate:.2%}" for row in rows]
    columns["tokens/s"] = [f"{row.tokens_per_second:,.0f}" for row in rows]
    difference = f"{'nats/token' if same else 'bits/char'} vs row above [95 %]"
    if len(rows) > 1:
        columns[difference] = [_with_interval(row, "difference", _signed) for row in rows]
        columns["p"] = ["-" if row.p_value is None else _p_value(row.p_value) for row in rows]
    blank = () if same else ("perplexity [95 %]",)
    drop = (*blank, "bits/byte", "tokens/s", "MiB", "trained", "unknown", "size", difference, "p", "bits/char")
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), drop=drop)


def _size(row):
    counts = {"parameters": row.parameters, "n-grams": row.ngrams}
    return " + ".join(f"{count:,} {unit}" for unit, count in counts.items() if count is not None)


def _with_interval(row, name, form):
    interval = row.interval(name)
    if interval is None:
        return "-"
    if math.isinf(interval.estimate):
        return form(interval.estimate)
    return f"{form(interval.estimate)} [{form(interval.low)}, {form(interval.high)}]"


def _bits(number):
    return f"{number:.3f}"


def spelling_mark(row: ComparisonRow) -> str:
    """Marks bits per character that leave something out."""
    return "" if row.spelled else "*"


def _signed(number):
    return f"{number:+.4f}" if number else "0"


def _p_value(p):
    return f"{p:.4f}" if p >= 1e-4 else f"{p:.0e}"


def notes(rows: Sequence[ComparisonRow]) -> list[str]:
    """Notes on what the table is of, how sure it is, and why a column is blank; a line each."""
    first = rows[0]
    tokens = f"{first.tokens:,} tokens, " if first.perplexity is not None else ""
    lines = [
        f"text: {first.source}, split {first.split}: {tokens}{first.characters:,} characters, "
        f"cut into {first.eval_streams} streams"
    ]
    if first.perplexity is None:
        sizes = "; ".join(f"{r.name}: {r.vocabulary:,} entries ({r.level}), {r.tokens:,} tokens" for r in rows)
        lines.append(f"no perplexities, which do not compare where the vocabularies differ: {sizes}")
    if not all(row.spelled for row in rows):
        lines.append(
            "* too low: the tokens do not tell how unknown words are spelled, or what white space there is"
            + ("; not tested" if first.perplexity is None else "")
        )
    lines += [f"{r.name} gives probability 0 to {r.impossible:,} tokens" for r in rows if r.impossible]
    lines += [_weights(row) for row in rows if row.weights is not None]
    lines += _methods(rows)
    return lines


def _weights(row):
    parts = " + ".join(f"{weight:.3f} {name}" for name, weight in row.weights.items())
    return f"{row.name} = {parts}, weights fitted on the validation text"


def _methods(rows):
    first = rows[0]
    kinds = dict.fromkeys((row.blocks, row.block_size, row.block_unit) for row in rows)
    blocks = " or ".join(f"{_count(k, 'block')} of {_count(size, unit)}" for k, size, unit in kinds)
    test = "; p: sign flips of the same blocks, two-sided, not corrected for many rows" if len(rows) > 1 else ""
    yield f"intervals: {first.samples:,} resamples of {blocks}, seed {first.seed}{test}"
    if any(unit == "token" for *_, unit in kinds):
        yield "blocks are pieces of the token stream, because the text has too few lines"
    if min(kinds)[0] < FEW_BLOCKS:
        yield f"intervals and p are rough: fewer than {FEW_BLOCKS} blocks"


def _count(number, thing):
    return f"{number:,.5g} {thing}{'s' * (number != 1)}"
