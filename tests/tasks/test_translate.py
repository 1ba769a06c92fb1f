"""Translators go through a run as every task does, and find translations in which their own scores can be trusted."""

import json

import numpy as np
import pytest

from lm_jax.config import from_flat
from lm_jax.errors import UserError
from lm_jax.inference.translation import SearchSettings, pair_log_probs, translate_batch
from lm_jax.runs import open_run, resume, train, train_seeds
from lm_jax.tasks.translate import TRANSLATE
from tests.runs.toy import Events, assert_equal_runs
from tests.tasks.parallel import translate_config, write_parallel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("translate")


@pytest.mark.slow
def test_stop_and_resume_have_the_same_bits(folder):
    """With batches of two shapes, and dropout."""
    config = translate_config(folder / "two.tsv", (2, 5), attention="plain", dropout=0.1)
    straight = train(config, folder / "straight")
    assert train(config, folder / "run", Events(10)).results.step < 20
    assert_equal_runs(resume(folder / "run").folder, straight.folder, step=20)


def test_it_learns_and_wider_beams_find_what_it_prefers(folder):
    """By its own scores, which are the log-probabilities that it gives to what was found."""
    run = train(translate_config(folder / "pairs.tsv", steps=60, eval_every=20), folder / "learns")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["valid_loss"] for line in lines if "valid_loss" in line]
    assert losses[-1] < losses[0] and all("valid_exact" in line for line in lines if "valid_loss" in line)
    rows = run.results.closing.rows
    found = [(row.split, row.search) for row in rows]
    assert found == [(split, search) for split in ("valid", "test") for search in ("greedy", "beam 1")]
    assert rows[0].cross_entropy == pytest.approx(losses[-1], rel=1e-5)
    assert run.results.closing.sample.count(" -> ") == 3
    assert TRANSLATE.name(open_run(run.folder).config) == "RNN 1x4, additive attention"

    vocabulary, eol_id = run.vocabulary, run.vocabulary.target.eol_id
    sources = [vocabulary.encode_source(text) for text in ("eins zwei.", "drei.", "null null eins drei zwei.")]
    best = []
    for width in (1, 3, 9):
        beams = translate_batch(run.model, run.params, sources, eol_id, SearchSettings(width, 0.0))
        targets = [np.append(of_one[0].tokens, eol_id).astype(np.int32) for of_one in beams]
        own = pair_log_probs(run.model, run.params, sources, targets, eol_id)
        np.testing.assert_allclose(own, [of_one[0].log_prob for of_one in beams], rtol=1e-4, atol=1e-4)
        best.append(own)
    assert np.all(np.diff(best, axis=0) >= -1e-4)


@pytest.mark.slow
def test_seeds_share_their_shapes(folder):
    seeds = train_seeds(translate_config(folder / "pairs.tsv", steps=2, eval_every=None), 2, folder / "seeds")
    assert set(seeds.results.splits["test"]) >= {"exact", "cross_entropy"}


REFUSED = [
    ({"input_feeding": False}, "input_feeding needs attention multiplicative"),
    ({"reverse_source": True}, "reverse_source needs attention plain"),
    ({"attention": "plain", "coverage_penalty": 0.2}, r"coverage_penalty needs attention, got 0\.2 without"),
    ({"level": "char", "min_count": 2}, "min_count is for words, got 2 with level char"),
    ({"level": "char", "tokenizer": "simple"}, "tokenizer is for words"),
    ({"level": "char", "max_vocab": 20}, "max_vocab is for words and byte pairs"),
    ({"max_length": 2}, "at most max_length tokens, 2, got a source of"),
    ({"label_smoothing": 1.0}, "label_smoothing"),
    ({"scheduled_sampling": -0.1}, "scheduled_sampling must be between 0 and 1"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_settings_that_cannot_be_are_refused(changes, message, folder):
    with pytest.raises(UserError, match=message):
        train(translate_config(folder / "pairs.tsv", **changes), folder / "refused")
    assert not (folder / "refused").exists()


STACK = {"layers": 2, "connection": "residual", "dropout": 0.1}
BOTH_WAYS = {"cell": "gru", "bidirectional": True, "hidden_size": 24, "decoder_size": 32, "steps": 600}
EVERY = {
    "reversed": {"attention": "plain", "reverse_source": True, "cell": "lstm", "hidden_size": 32, "steps": 600},
    "input_feeding": {"attention": "multiplicative", "label_smoothing": 0.1, **STACK},
    "late": {"attention": "multiplicative", "input_feeding": False, "tied": True, "scheduled_sampling": 0.2},
    "characters": {"level": "char", "lower": True, "coverage_penalty": 0.1, "word_dropout": 0.05, **BOTH_WAYS},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_form_learns_to_translate(name, folder):
    sizes = {"hidden_size": 16, "embedding_size": 16, "eval_every": 100, "steps": 400, "learning_rate": 0.01}
    lengths = (1, 2) if name == "reversed" else (1, 2, 4)  # without attention so few pairs teach no longer ones
    pairs = write_parallel(folder / f"{name}.tsv", lengths, 400)
    config = translate_config(folder / "few.tsv", **(sizes | EVERY[name]), data=pairs)
    run = train(config, folder / name)
    assert run.results.closing.rows[1].exact == 1.0
    assert from_flat(type(config), {}, open_run(run.folder).config) == open_run(run.folder).config
