"""Kinds: every table holds together, and a setting of another kind than the chosen one is refused by its name."""

import dataclasses

import pytest

from lm_jax.config import (
    AVERAGINGS,
    CELLS,
    ESTIMATORS,
    MODELS,
    SCHEDULES,
    NGramConfig,
    NoSettings,
    RecurrentConfig,
    TrainConfig,
    WindowConfig,
    from_flat,
)
from lm_jax.config.flat import chosen_kinds, flat_settings
from lm_jax.errors import UserError


TABLES = {
    "model": (TrainConfig, MODELS),
    "cell": (TrainConfig, CELLS),
    "schedule": (TrainConfig, SCHEDULES),
    "averaging": (TrainConfig, AVERAGINGS),
    "method": (NGramConfig, ESTIMATORS),
}
KINDS = [(role, name) for role, (_, table) in TABLES.items() for name in table]


def names_of(role, kind):
    """The flat names of the settings of a kind, without those of the kinds inside it."""
    cls, table = TABLES[role]
    found = [one for one in flat_settings(cls) if one.owners and one.owners[-1] == (role, kind)]
    assert found or table[kind].config is None
    return {one.name: one.field.default for one in found}


def misplaced():
    """(role, chosen kind, setting that it does not have, kinds that have it, or a kind with it), for every pair."""
    for role, (_, table) in TABLES.items():
        own = {kind: names_of(role, kind) for kind in table}
        settings = list(flat_settings(TABLES[role][0]))
        inside = {kind: {one.name for one in settings if (role, kind) in one.owners} for kind in table}
        for chosen in table:
            others = dict.fromkeys(name for kind in table for name in own[kind] if name not in inside[chosen])
            for name in others:
                yield role, chosen, name, [kind for kind in table if name in inside[kind]]


PAIRS = list(misplaced())


def test_every_table_has_pairs():
    assert {role for role, *_ in PAIRS} == set(TABLES) and len(PAIRS) > 30


@pytest.mark.parametrize(("role", "chosen", "name", "owners"), PAIRS)
def test_a_setting_of_another_kind_is_refused_by_name(role, chosen, name, owners):
    """Also where its value is the default: it was given, and would do nothing."""
    cls, _ = TABLES[role]
    default = next(one.field.default for one in flat_settings(cls) if one.name == name)
    value = default.kind if hasattr(default, "kind") else default
    with pytest.raises(UserError) as caught:
        from_flat(cls, {role: chosen, name: value})
    assert (
        str(caught.value) == f"{name} is a setting of {', '.join(owners)}, got {role} {chosen}; give {role}={owners[0]}"
    )
    assert {name, role} <= set(caught.value.settings)


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_a_kind_is_chosen_by_its_name_and_has_a_factory(role, kind):
    cls, table = TABLES[role]
    config = from_flat(cls, {role: kind})
    assert chosen_kinds(config)[role] == kind and callable(table[kind].make())
    assert table[kind].config is None or table[kind].config.kind == kind
    assert from_flat(cls, {}, config) == config


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_its_own_settings_are_taken(role, kind):
    cls, _ = TABLES[role]
    chosen = getattr(from_flat(cls, {role: kind}), "model", None)
    idle = chosen.idle() if chosen is not None else {}  # settings that need others
    for one in flat_settings(cls):
        own = one.owners and one.owners[-1] == (role, kind) and not one.field.metadata.get("kinds")
        if own and one.name not in idle:
            assert from_flat(cls, {role: kind, one.name: one.field.default}) == from_flat(cls, {role: kind})


def test_every_setting_has_a_help_that_is_a_sentence():
    for cls in (TrainConfig, NGramConfig):
        for one in flat_settings(cls):
            text = one.field.metadata["help"]
            assert text[0].isupper() or text.split(":")[0] in ("stream", "kenlm"), (one.name, text)
            assert text.endswith(".") and not text.startswith(("Of ", "What ")), (one.name, text)


def test_a_string_is_short_for_the_defaults_of_a_kind():
    assert RecurrentConfig(cell="gru") == RecurrentConfig(cell=CELLS["gru"].config())
    assert NGramConfig(method="katz").method == NoSettings("katz")
    assert TrainConfig(model="window").model == WindowConfig()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecurrentConfig(cell="elman"), "cell must be one of rnn, gru, lstm, .* got 'elman'; FILE.py:NAME for"),
        (
            lambda: RecurrentConfig(cell=SCHEDULES["cosine"].config()),
            "cell must be one of rnn, gru, lstm, .* got Cosine",
        ),
        (
            lambda: TrainConfig(model=CELLS["gru"].config()),
            "model must be one of recurrent, window, attention, got GRUConfig",
        ),
        (lambda: NGramConfig(method="good"), "method must be one of modified-kneser-ney, .* got 'good'"),
        (lambda: from_flat(TrainConfig, {"hiden_size": 3}), "settings that this version does not know: hiden_size"),
    ],
)
def test_what_is_no_kind_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


IDLE = {
    "dropout_kind": ({"dropout_kind": "locked"}, "dropout_kind needs dropout above 0, got locked without"),
    "dropout_layer": ({"dropout_layer": 0.5}, "dropout_layer needs layers above 1, got 0.5 without"),
    "cutoff_factor": ({"cutoff_factor": 9}, "cutoff_factor needs cutoffs, got 9 without"),
    "window": ({"model": "window", "dropout_layer": 0.5}, "dropout_layer needs layers above 1, got 0.5 without"),
}


@pytest.mark.parametrize(("given", "message"), IDLE.values(), ids=IDLE)
def test_a_setting_that_nothing_reads_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        from_flat(TrainConfig, given).check()


def test_changes_are_made_to_a_base():
    base = from_flat(TrainConfig, {"cell": "gru", "gru_reset": "before", "hidden_size": 8})
    assert from_flat(TrainConfig, {"init": "uniform"}, base).model.cell.reset == "before"
    changed = from_flat(TrainConfig, {"cell": "lstm"}, base)  # another kind begins with its own defaults
    assert changed.model.cell == CELLS["lstm"].config() and changed.model.hidden_size == 8
    assert dataclasses.replace(base, steps=3) == from_flat(TrainConfig, {"steps": 3}, base)
