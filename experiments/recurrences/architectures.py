"""The networks that the studies of recurrences compare: one language model each, of about equally many parameters."""

import bisect
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.config import TrainConfig, from_flat
from lm_jax.config.cells import cell_title
from lm_jax.models import LanguageModel, from_config


HEADS = 4
STEP = 4  # hidden sizes are multiples of it, so that heads divide them
LARGEST = 512
CONTEXT = 256  # tokens that a layer of attention reaches back to, itself included
SETTINGS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "mingru": {"cell": "mingru"},
    "minlstm": {"cell": "minlstm"},
    "lru": {"cell": "lru"},
    "rglru": {"cell": "rglru"},
    "slstm": {"cell": "slstm", "heads": HEADS},
    "mlstm": {"cell": "mlstm", "heads": HEADS},
    "gated_deltanet_1": {"cell": "gated_deltanet", "heads": HEADS, "beta_max": 1.0},
    "gated_deltanet": {"cell": "gated_deltanet", "heads": HEADS, "beta_max": 2.0},
    "attention": {"model": "attention", "heads": 2},  # of an even size: rotary positions turn pairs
    "cornn": {"cell": "cornn"},
    "diagonal_gru": {"cell": "diagonal_gru"},
    "diagonal_lstm": {"cell": "diagonal_lstm"},
}
MATRICES = ("mlstm", "gated_deltanet_1", "gated_deltanet")
NETWORKS = tuple(SETTINGS)
TWELVE = NETWORKS[:12]  # what the studies compare if no others are named
SMOKE = ("rnn", "attention")
TITLES = {name: cell_title(settings.get("cell", name)) for name, settings in SETTINGS.items()}
TITLES |= {
    "gated_deltanet_1": "Gated DeltaNet (beta to 1)",
    "gated_deltanet": "Gated DeltaNet (beta to 2)",
    "attention": "attention",
}
OPTION = {"nargs": "*", "default": [], "help": f"{', '.join(NETWORKS)}; default: the first twelve"}


def settings_of(name: str, hidden_size: int, layers: int = 2, context: int = CONTEXT) -> dict[str, Any]:
    """The settings of a network by the names of their flags: residual blocks around a cell, or a Transformer's layers.

    Args:
        name: one of NETWORKS.
        hidden_size: of every layer and of the embedding.
        layers: number of blocks.
        context: tokens that attention reaches back to; nothing to the others.
    """
    flat = SETTINGS[name] | {"hidden_size": hidden_size, "layers": layers, "dropout": 0.0}
    own = {"context": context} if "model" in flat else {"connection": "block", "embedding_size": hidden_size}
    return flat | own


def build(name: str, vocab_size: int, hidden_size: int, layers: int = 2, context: int = CONTEXT) -> LanguageModel:
    """Builds the network of `settings_of`, for a vocabulary of so many tokens, to learn from many short strings.

    There the loop of small matrices is twice as fast as their chunks.
    """
    flat = settings_of(name, hidden_size, layers, context) | ({"recurrence": "scan"} if name in MATRICES else {})
    return from_config(from_flat(TrainConfig, flat).model, vocab_size)


def chosen(names: Sequence[str], smoke: bool) -> Sequence[str]:
    """The networks that a command line names, the twelve if it names none; two of them for a smoke test.

    Raises:
        SystemExit: a name is none of NETWORKS.
    """
    unknown = set(names) - set(NETWORKS)
    if unknown:
        raise SystemExit(f"networks are {', '.join(NETWORKS)}, got {', '.join(sorted(unknown))}")
    return names or (SMOKE if smoke else TWELVE)


def count(tree: Any) -> int:
    """The number of numbers in a tree of arrays or of shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def parameters(model: LanguageModel) -> int:
    """The number of parameters of a model, without drawing them."""
    return count(jax.eval_shape(model.init, jax.random.key(0)))


def carry_of(model: LanguageModel) -> list[Any]:
    """The shapes of the arrays in the carry of one text."""
    params = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.leaves(jax.eval_shape(lambda params: model.initial_carry(params, ()), params))


def state_size(model: LanguageModel) -> int:
    """The number of real numbers in the carry of one text; how much of a cache is filled is none."""
    return count([leaf for leaf in carry_of(model) if jnp.issubdtype(leaf.dtype, jnp.floating)])


def carry_bytes(model: LanguageModel) -> int:
    """The bytes of the carry of one text."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in carry_of(model))


@functools.cache
def hidden_size(name: str, vocab_size: int, wanted: int) -> int:
    """The hidden size at which a network has closest to a wanted number of parameters."""

    def missing(size):
        return wanted - parameters(build(name, vocab_size, size))

    sizes = range(STEP, LARGEST + 1, STEP)
    above = bisect.bisect_left(sizes, True, key=lambda size: missing(size) <= 0)
    return min(sizes[max(above - 1, 0) : above + 1], key=lambda size: abs(missing(size)))
