"""The inside of a recurrent model along a text: states and gates after every token, and units that follow a pattern.

For a text x_1 .. x_N that follows an end of line, row i of every array is of the step that has read x_i: the carry
after it, and the gates that made it. A unit follows a pattern m in {0, 1}^N as far as its values correlate with it:

    r = cov(values, m) / (sd(values) sd(m))          Strobelt et al. 2018, LSTMVis, search for such units
"""

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from lm_jax.analysis.trajectory import leaf_places
from lm_jax.errors import UserError, check_sizes
from lm_jax.files import write_bytes
from lm_jax.queries.loaded_run import RunLike, UserCell
from lm_jax.queries.recurrent_run import load_recurrent
from lm_jax.queries.token_text import Text, shown_tokens, to_ids
from lm_jax.short_repr import shortly_shown


CHUNK = 256  # tokens of a compiled program
MOST_NUMBERS = 1 << 28  # of all states: a gibibyte
FORMATS = (".npz", ".parquet")


@shortly_shown
class HiddenStates(NamedTuple):
    """States and gates along a text of N tokens.

    ids, tokens: the text, and its tokens as they can be shown. values: by name, "h", "c", "gate.forget", in a stack
    with the layer before it, "0.h": [N, H].
    """

    run: str
    ids: Int[np.ndarray, "N"]
    tokens: tuple[str, ...]
    values: dict[str, Float[np.ndarray, "N H"]]


@shortly_shown
class UnitMatch(NamedTuple):
    """A unit of one of the arrays, counted from 0, and its correlation with a pattern."""

    name: str
    unit: int
    correlation: float


def states(run: RunLike, text: Text, *, gates: bool = True, cell: UserCell | None = None) -> HiddenStates:
    """Reads a text and keeps the states.

    Args:
        run: The folder of a run, or a run that is loaded.
        text: The text, or its ids; it follows an end of line.
        gates: Whether the gates are kept too, where the cell has some.
        cell: The user's own cell that the run was trained with.

    Returns:
        The states after each token.

    Raises:
        UserError: For a run without a recurrent network, a text without a token or one that the vocabulary cannot
            encode, one whose states would take more than a gibibyte, and states that are no numbers.
    """
    run, opened, _ = load_recurrent(run, -1, cell, "states")
    ids = to_ids(run.vocabulary, text)
    if not len(ids):
        raise UserError("states are of a text of at least one token, got none")
    carry = run.model.initial_carry(run.params, (1,))
    places = leaf_places(carry, run.params.cell)
    along = _compiled(opened, places, gates and opened.cell.observe is not None)
    inputs = np.append(run.vocabulary.eol_id, ids).astype(np.int32)
    padded = np.append(inputs, np.zeros(-len(inputs) % CHUNK, np.int32))
    pieces: list[dict[str, np.ndarray]] = []
    for start in range(0, len(inputs), CHUNK):
        carry, found = along(run.params, carry, padded[start : start + CHUNK])
        pieces.append({name: np.asarray(values) for name, values in found.items()})
        if sum(values.size for values in pieces[0].values()) // CHUNK * len(ids) > MOST_NUMBERS:
            raise UserError(f"states may have {MOST_NUMBERS:,} numbers; give a shorter text, got {len(ids):,} tokens")
    values = {name: np.concatenate([piece[name] for piece in pieces])[1 : len(inputs)] for name in pieces[0]}
    if not all(np.isfinite(array).all() for array in values.values()):
        raise UserError(f"states must be numbers, got NaN or infinite ones (has the model diverged?) ({run.run})")
    return HiddenStates(run.run, ids, shown_tokens(run.vocabulary, ids), values)


@functools.cache
def _compiled(opened, places, gates):
    """Makes (params, carry, inputs [T]) -> the carry after them, and the arrays [T, H] by name."""
    prefixes = [""] if len(places) == 1 else [f"{layer}." for layer in range(len(places))]

    def named(params, carry, x, after):
        leaves = jax.tree.leaves(after)
        found = {
            f"{prefix}{name}": leaves[place].reshape(-1)
            for prefix, names in zip(prefixes, places, strict=True)
            for name, place in names
        }
        if gates:
            for prefix, layer in zip(prefixes, opened.cell.observe(params.cell, carry, x), strict=True):
                found |= {f"{prefix}gate.{name}": layer.gates[name].reshape(-1) for name in sorted(layer.gates)}
        return found

    def along(params, carry, inputs):
        def body(carry, x):
            after, _ = opened.cell.step(params.cell, carry, x)
            return after, named(params, carry, x, after)

        return jax.lax.scan(body, carry, opened.embed(params, inputs[:, None]))

    return jax.jit(along)


def units_like(
    found: HiddenStates, pattern: Sequence[bool] | Sequence[int] | np.ndarray, k: int = 10
) -> list[UnitMatch]:
    """Searches for the units whose values follow a pattern, up or down.

    Args:
        found: The states of a text.
        pattern: Whether each of its tokens is marked [N]; some are and some are not.
        k: How many units.

    Returns:
        The k units of the largest |correlation|, largest first; a unit that never changes has 0.

    Raises:
        UserError: For a pattern of another length, one without a change, and a k below 1.
    """
    check_sizes(k=k)
    mask = np.asarray(pattern, np.float64)
    if mask.shape != (len(found.ids),):
        raise UserError(f"a pattern has an entry for each of the {len(found.ids)} tokens, got {list(mask.shape)}")
    if mask.min() == mask.max():
        raise UserError("a pattern marks some tokens and leaves others, got one that marks all or none")
    mask = (mask - mask.mean()) / mask.std()
    matches = []
    for name, values in found.values.items():
        centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
        spread = centred.std(0)
        correlations = np.where(spread > 0, mask @ centred / len(mask) / np.where(spread > 0, spread, 1.0), 0.0)
        best = np.argsort(-np.abs(correlations), kind="stable")[:k]
        matches += [UnitMatch(name, int(unit), float(correlations[unit])) for unit in best]
    return sorted(matches, key=lambda match: -abs(match.correlation))[:k]


def check_states_file(path: str | Path) -> Path:
    """Returns the path of a file that states can be written to; raises UserError for another ending, and no folder."""
    path = Path(path).expanduser()
    if path.suffix not in FORMATS:
        raise UserError(f"out must end in {' or '.join(FORMATS)}, got {path}", ["out"])
    if not path.parent.is_dir():
        raise UserError(f"out must lie in a folder that is there, got {path}", ["out"])
    return path


def write_states(found: HiddenStates, path: str | Path) -> Path:
    """Writes states as arrays of numpy (.npz), or as a table with a row a token (.parquet).

    Args:
        found: The states of a text.
        path: The file. Beside the arrays by their names it has `ids` and `tokens`.

    Raises:
        UserError: For a path of another ending.
    """
    path, file = check_states_file(path), io.BytesIO()
    if path.suffix == ".npz":
        tokens = np.array(found.tokens, dtype=np.str_)
        np.savez(file, ids=found.ids, tokens=tokens, **found.values)  # pyright: ignore[reportArgumentType]
    else:
        import pyarrow
        import pyarrow.parquet

        columns = {"ids": pyarrow.array(found.ids), "tokens": pyarrow.array(found.tokens)}
        for name, values in found.values.items():
            flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
            columns[name] = pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
        pyarrow.parquet.write_table(pyarrow.table(columns), file)
    write_bytes(path, file.getvalue())
    return path
