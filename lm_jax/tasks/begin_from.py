"""A language model that begins with the weights and the vocabulary of another."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.config import TrainConfig
from lm_jax.errors import UserError
from lm_jax.models.recurrent import RecurrentLMParams
from lm_jax.tasks.base import Pretrained, SavedData
from lm_jax.tasks.warm_start import cells_of, with_lower_layers
from lm_jax.types import Params


# settings that say what the weights are; all others, such as dropout, may be any
SHAPE = ("hidden_size", "top_size", "embedding_size", "tied", "cutoffs", "cutoff_factor", "window", "direct")
SHAPE += ("layer_norm", "nonlinearity", "connection", "layers", "heads", "kv_heads", "feed_forward_size", "context")
CELL = ("reset", "nonlinearity")  # those of a cell
LIMITS = ("min_count", "max_vocab")  # of a vocabulary of one's own
PLACE = ("data", "text_column")  # where a text comes from


def begin_from(settings: Any, pretrained: Pretrained) -> tuple[Any, SavedData]:
    """Returns the settings with the sizes and the level of the weights, and the vocabulary to read the text with.

    A setting at its default takes the value of the weights; more layers than they have are new ones above.

    Raises:
        UserError: for weights of no network of this kind, and for the first setting that contradicts them.
    """
    theirs = pretrained.config
    if not isinstance(theirs, TrainConfig):
        raise UserError(
            f"init_from must be the run of a neural language model, got a run of task {theirs.task}: {pretrained.path}",
            ["init_from"],
        )
    for name in LIMITS:
        value = getattr(settings.data, name)
        if value != getattr(type(settings.data)(), name):
            rule = f"{name} must be left out with init_from, whose vocabulary is taken"
            raise UserError(f"{rule}, got {value}", [name, "init_from"])
    data_names = [field.name for field in dataclasses.fields(settings.data)]
    data = _adopted(settings.data, theirs.data, [name for name in data_names if name not in (*LIMITS, *PLACE)])
    model = _model(settings.model, theirs.model)
    new = model.layers - theirs.model.layers
    phrase = f"weights of {pretrained.path}" + (f", {new} new layer{'s' if new > 1 else ''} above" if new else "")
    changed = dataclasses.replace(settings, model=model, data=data)
    return changed, SavedData(pretrained.vocabulary, None, phrase)


def check_given(settings: Any, begun: Any, given: dict[str, Any]) -> None:
    """Raises UserError for a setting that was given, if only its default, and is another one in the weights.

    Args:
        settings: as they were given.
        begun: as `begin_from` returned them.
        given: the values that were given, by the flat name, which is that of the field.
    """
    for part in ("model", "data"):
        mine, theirs = getattr(settings, part), getattr(begun, part)
        for field in dataclasses.fields(theirs):
            if field.name in given and getattr(mine, field.name, None) != getattr(theirs, field.name):
                raise _contradiction(field.name, getattr(mine, field.name), getattr(theirs, field.name))


def with_weights(params: Any, pretrained: Pretrained) -> Params:
    """Returns parameters with all that the other model has of them; those of new layers stay random.

    Raises UserError where they do not fit.
    """
    theirs: Any = jax.tree.map(jnp.asarray, pretrained.params)
    if _shapes(theirs) == _shapes(params):
        return theirs
    recurrent = isinstance(params, RecurrentLMParams) and isinstance(theirs, RecurrentLMParams)
    # the top layer of a Transformer normalises its output, and can have no other above
    if not recurrent or any(map(_differ, params.cell.cells, cells_of(theirs))):
        raise UserError(
            f"init_from must have the same architecture, but for layers of a recurrent model with one full softmax: "
            f"{pretrained.path}",
            ["init_from"],
        )
    ours: Any = params
    cells = with_lower_layers(ours.cell.cells, cells_of(theirs))
    fits = params.w_out is not None and theirs.w_out is not None and params.w_out.shape == theirs.w_out.shape
    return ours.replace(
        embedding=theirs.embedding,
        cell=ours.cell.replace(cells=cells),
        w_out=theirs.w_out if fits else params.w_out,
        b_out=theirs.b_out,
    )


def _differ(one, other):
    return jax.tree.structure(one) != jax.tree.structure(other)


def _shapes(tree):
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)], jax.tree.structure(tree)


def _model(mine, theirs):
    if mine.kind != theirs.kind:
        default = type(mine)()
        given = {name: value for name, value in vars(mine).items() if value != getattr(default, name)}
        if not all(hasattr(theirs, name) for name in given):
            raise _contradiction("model", mine.kind, theirs.kind)
        mine = dataclasses.replace(type(theirs)(), **given)
    model = _adopted(mine, theirs, [name for name in SHAPE if hasattr(theirs, name)])
    if hasattr(theirs, "cell"):
        model = dataclasses.replace(model, cell=_cell(model.cell, theirs.cell, type(theirs)().cell))
    return model


def _cell(mine, theirs, default):
    if mine == default:
        return theirs
    if mine.kind != theirs.kind:
        raise _contradiction("cell", mine.kind, theirs.kind)
    names = [name for name in CELL if hasattr(theirs, name)]
    return _adopted(mine, theirs, names) if names else mine  # a cell of a user's own has no settings


def _adopted(mine, theirs, names):
    """`mine` with the values of `theirs` where it has the defaults; raises UserError where it has others."""
    default, changes = type(mine)(), {}
    for name in names:
        value, wanted = getattr(mine, name), getattr(theirs, name)
        if value == getattr(default, name):
            changes[name] = wanted
        elif value != wanted and not _is_more(name, value, theirs):
            raise _contradiction(name, value, wanted)
    return dataclasses.replace(mine, **changes)


def _is_more(name, value, theirs):
    """Whether a setting differs in what is added above the weights."""
    return (name == "layers" and value > theirs.layers) or (name == "connection" and theirs.layers == 1)


def _contradiction(name, value, wanted):
    if name == "layers":
        return UserError(f"layers must be at least those of init_from, {wanted}, got {value}", [name, "init_from"])
    shown = [getattr(one, "kind", one) for one in (wanted, value)]
    return UserError(f"{name} must be that of init_from, {shown[0]}, got {shown[1]}", [name, "init_from"])
