"""The networks that the studies of recurrences compare: one language model each, of about equally many parameters."""

import bisect
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax

from lm_jax.config import TrainConfig, from_flat
from lm_jax.config.cells import cell_title
from lm_jax.models import LanguageModel, from_config


HEADS = 4
STEP = 4  # hidden sizes are multiples of it, so that heads divide them
LARGEST = 512
SETTINGS: dict[str, dict[str, Any]] = {
    "rnn": {},
    "gru": {},
    "lstm": {},
    "mingru": {},
    "minlstm": {},
    "lru": {},
    "rglru": {},
    "slstm": {"heads": HEADS},
    "mlstm": {"heads": HEADS},
    "gated_deltanet": {"heads": HEADS},
    "cornn": {},
    "diagonal_gru": {},
    "diagonal_lstm": {},
}
NETWORKS = tuple(SETTINGS)
TITLES = {name: cell_title(name) for name in NETWORKS}


def build(name: str, vocab_size: int, hidden_size: int, layers: int = 2) -> LanguageModel:
    """Builds a network whose layers are residual blocks around a cell.

    Args:
        name: one of NETWORKS.
        vocab_size: number of tokens.
        hidden_size: of every layer and of the embedding.
        layers: number of blocks.
    """
    sizes = {"hidden_size": hidden_size, "embedding_size": hidden_size, "layers": layers, "dropout": 0.0}
    flat = {"cell": name, "connection": "block"} | SETTINGS[name] | sizes
    return from_config(from_flat(TrainConfig, flat).model, vocab_size)


def chosen(names: Sequence[str], smoke: bool) -> Sequence[str]:
    """The networks that a command line names, all if it names none; two of them for a smoke test.

    Raises:
        SystemExit: a name is none of NETWORKS.
    """
    unknown = set(names) - set(NETWORKS)
    if unknown:
        raise SystemExit(f"networks are {', '.join(NETWORKS)}, got {', '.join(sorted(unknown))}")
    return names or (NETWORKS[:2] if smoke else NETWORKS)


def count(tree: Any) -> int:
    """The number of numbers in a tree of arrays or of shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def parameters(model: LanguageModel) -> int:
    """The number of parameters of a model, without drawing them."""
    return count(jax.eval_shape(model.init, jax.random.key(0)))


def state_size(model: LanguageModel) -> int:
    """The number of numbers in the carry of one text."""
    params = jax.eval_shape(model.init, jax.random.key(0))
    return count(jax.eval_shape(lambda params: model.initial_carry(params, ()), params))


@functools.cache
def hidden_size(name: str, vocab_size: int, wanted: int) -> int:
    """The hidden size at which a network has closest to a wanted number of parameters."""

    def missing(size):
        return wanted - parameters(build(name, vocab_size, size))

    sizes = range(STEP, LARGEST + 1, STEP)
    above = bisect.bisect_left(sizes, True, key=lambda size: missing(size) <= 0)
    return min(sizes[max(above - 1, 0) : above + 1], key=lambda size: abs(missing(size)))
