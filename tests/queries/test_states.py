"""States and gates along a text, against the carry after each prefix and numpy's correlations."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import NGramConfig, UserError
from lm_jax.analysis import gate_values
from lm_jax.config import DataConfig
from lm_jax.queries import HiddenStates, states, units_like, write_states
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


TEXT = "a cab bad\ndab a cad aba\n" * 12  # 288 tokens, two chunks


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    return lm_jax.load(untrained(toy_config(write_corpus(folder / "text"), layers=2), folder / "run"))


@pytest.fixture(scope="module")
def found(run):
    return states(run, TEXT)


@pytest.mark.parametrize("length", [256, 288])
def test_a_row_is_the_carry_after_its_token(length, run, found):
    inputs = np.append(run.vocabulary.eol_id, run.vocabulary.encode(TEXT)[:length]).astype(np.int32)
    carry = run.model.initial_carry(run.params, (1,))
    carry, _ = run.model.unroll(run.params, carry, jnp.asarray(inputs)[:, None])
    for layer in (0, 1):
        for leaf in ("h", "c"):
            expected = np.asarray(getattr(carry[layer], leaf))[0]
            np.testing.assert_allclose(found.values[f"{layer}.{leaf}"][length - 1], expected, atol=1e-5)
    assert len(found.tokens) == len(found.ids) == 288 and found.tokens[:5] == ("a", "␣", "c", "a", "b")


def test_gates_are_those_of_the_laboratory(run, found):
    inputs = np.append(run.vocabulary.eol_id, run.vocabulary.encode(TEXT))
    expected = gate_values(run.model, run.params, inputs)
    assert {name for name in found.values if "gate" in name} == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found.values[name], values[1:, 0], atol=1e-6)
    assert set(states(run, "a", gates=False).values) == {"0.h", "0.c", "1.h", "1.c"}


def test_units_that_follow_a_pattern_are_found():
    generator = np.random.default_rng(0)
    mask = generator.random(50) < 0.3
    h, c = generator.normal(size=(2, 50, 6)).astype(np.float32)
    h[:, 4] = -2 * mask + 0.1 * h[:, 4]
    c[:, 1] = 0.5
    matches = units_like(HiddenStates("", np.zeros(50, np.int32), ("a",) * 50, {"h": h, "c": c}), mask, 11)
    assert matches[0][:2] == ("h", 4) and matches[0].correlation < -0.9
    for name, unit, correlation in matches:
        expected = np.corrcoef({"h": h, "c": c}[name][:, unit].astype(np.float64), mask)[0, 1]
        assert correlation == pytest.approx(expected, abs=1e-9)
    assert ("c", 1) not in [match[:2] for match in matches]  # the only one that never changes
    sizes = [abs(match.correlation) for match in matches]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "pattern,words", [([1] * 288, "some tokens"), ([0] * 288, "some tokens"), ([0, 1], "each of the 288")]
)
def test_a_pattern_that_cannot_be(pattern, words, found):
    with pytest.raises(UserError, match=words):
        units_like(found, pattern)


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_what_is_written_is_read_again(ending, found, tmp_path):
    path = write_states(found, tmp_path / f"states{ending}")
    if ending == ".npz":
        with np.load(path) as read:
            arrays = dict(read)
    else:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        arrays = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    assert arrays.keys() == {"ids", "tokens", *found.values}
    np.testing.assert_array_equal(arrays["ids"], found.ids)
    assert tuple(arrays["tokens"]) == found.tokens
    for name, values in found.values.items():
        np.testing.assert_array_equal(arrays[name].astype(np.float32), values)


def test_what_cannot_be(run, tmp_path, found, monkeypatch):
    for path in (tmp_path / "states.csv", tmp_path / "nothing" / "states.npz"):
        with pytest.raises(UserError, match="out must"):
            write_states(found, path)
    with pytest.raises(UserError, match="at least one token"):
        states(run, "")
    monkeypatch.setattr(sys.modules["lm_jax.queries.states"], "MOST_NUMBERS", 100)
    with pytest.raises(UserError, match="a shorter text, got 288 tokens"):
        states(run, TEXT)
    assert not list(tmp_path.iterdir())


def test_n_grams_have_no_states(tmp_path):
    config = NGramConfig(DataConfig(write_corpus(tmp_path / "text")), order=2)
    with pytest.raises(UserError, match="states need a recurrent network, got 2-gram"):
        states(lm_jax.train(config, run=tmp_path / "run", listener=None).folder, "a cab")
