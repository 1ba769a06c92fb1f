"""Telemetry of classifiers, taggers and translators: what is measured, and that training does not depend on it."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.analysis import answer_gradients, chosen_answer_norms
from lm_jax.runs.folder import read_lines
from lm_jax.tasks import asked_sentences, task_of
from lm_jax.tasks.answer_telemetry import LONGEST, SENTENCES, build_measure, chosen_sentences
from tests.runs.toy import Events, saved_arrays
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


CONFIGS = {
    "classify": lambda folder, **changes: classify_config(folder / "texts.tsv", **changes),
    "tag": lambda folder, **changes: tag_config(folder / "tagged.tsv", **changes),
    "translate": lambda folder, **changes: translate_config(folder / "pairs.tsv", (2, 6), **changes),
}
ASK = {
    "classify": asked_sentences.labelled_texts,
    "tag": asked_sentences.tagged_sentences,
    "translate": asked_sentences.translated_sentences,
}
tasks = pytest.mark.parametrize("task", CONFIGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("answers")


def prepared(task, folder, **changes):
    config = CONFIGS[task](folder, **changes)
    data = task_of(config).load(config, None)
    model = task_of(config).model(config, data.vocabulary)
    return config, data, model, model.init(jax.random.key(0))


@tasks
def test_training_is_the_same_with_it_and_without(task, folder):
    """Dropout is on, which draws random numbers at every step."""
    settings, events = {"steps": 8, "eval_every": 6, "dropout": 0.3}, Events()
    config = CONFIGS[task](folder, telemetry_every=3, **settings)
    run = lm_jax.train(config, folder / f"{task}-measured", events)
    plain = lm_jax.train(CONFIGS[task](folder, **settings), folder / f"{task}-plain")
    with_it, without = saved_arrays(run.folder, 8), saved_arrays(plain.folder, 8)
    assert with_it.keys() == without.keys() and len(without) > 10
    for name, array in without.items():
        np.testing.assert_array_equal(with_it[name], array, err_msg=name)
    records = read_lines(run.folder / "metrics.jsonl")
    measured = [record for record in records if "telemetry" in record]
    assert [r for r in records if "telemetry" not in r] == read_lines(plain.folder / "metrics.jsonl")
    assert [r["step"] for r in measured] == [3, 6]
    assert measured == [{"step": one.step, "telemetry": one.values} for (one,) in events.of("on_telemetry")]
    assert (run.folder / "telemetry.png").read_bytes().startswith(b"\x89PNG")
    assert not (plain.folder / "telemetry.png").exists()


@tasks
def test_what_is_measured_is_what_the_laboratory_says(task, folder):
    config, data, model, params = prepared(task, folder)
    asked = ASK[task](config, data)
    found = answer_gradients(model.opened, params, asked.inputs, asked.answers, asked.mask)
    norms = np.stack([found.inputs[k, :, b] for b, k in enumerate(asked.chosen)], axis=1)
    telemetry = task_of(config).telemetry.build(config, data, model)(7, params, 2.5)
    values = telemetry.values
    assert telemetry.step == 7 and values["grad_norm"] == 2.5 and values["max_distance"] == asked.distances.max()
    medians = []
    for name, log_median in values["log_median"].items():
        first, _, last = name.partition("-")
        inside = (asked.distances >= int(first)) & (asked.distances <= int(last or first))
        medians.append((int(first), float(np.median(norms[inside]))))
        assert math.exp(log_median) == pytest.approx(medians[-1][1], rel=1e-4)
    assert len(medians) > 2 and medians[0][1] > 0
    for share, name in ((0.1, "horizon_10"), (0.01, "horizon_1")):
        assert values[name] == next((first for first, one in medians if one < share * medians[0][1]), None)
    json.dumps(values, allow_nan=False)


@tasks
def test_it_is_compiled_once_and_survives_a_run_that_diverges(task, folder):
    config, data, model, params = prepared(task, folder)
    traced = []

    def log_probs(*arguments):
        traced.append(1)
        return model.opened.log_probs(*arguments)

    counted = model._replace(opened=model.opened._replace(log_probs=log_probs, log_prob_at=None))
    measure = task_of(config).telemetry.build(config, data, counted)
    first, again = measure(1, params, 1.0), measure(2, model.init(jax.random.key(1)), 1.0)
    assert len(traced) == 1 and first.values != again.values
    broken = measure(3, jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params), math.nan)
    nothing = {"log_median": {}, "horizon_10": None, "horizon_1": None, "grad_norm": None}
    assert broken.values == {"max_distance": first.values["max_distance"], **nothing}
    assert broken.words.endswith("after step 3: is no number") and len(traced) == 1


@tasks
def test_padding_is_no_distance_and_every_word_has_one(task, folder):
    config, data, *_ = prepared(task, folder)
    asked = ASK[task](config, data)
    assert ((asked.distances >= 0) == asked.mask).all() and not asked.mask.all()


def test_a_word_of_a_text_is_as_far_as_the_label_is_from_it(folder):
    """From the end; from both ends, where the encoder begins at both."""
    for both in (False, True):
        config, data, *_ = prepared("classify", folder, bidirectional=both)
        asked = asked_sentences.labelled_texts(config, data)
        for distances, length in zip(asked.distances.T, asked.mask.sum(axis=0), strict=True):
            from_end = list(range(length))[::-1]
            assert distances[:length].tolist() == (list(map(min, range(length), from_end)) if both else from_end)


def test_a_word_is_as_far_as_the_word_whose_tag_is_asked_for(folder):
    config, data, *_ = prepared("tag", folder)
    asked, valid = asked_sentences.tagged_sentences(config, data), data.splits["valid"]
    lengths = asked.mask.sum(axis=0)
    assert asked.chosen[0] == 0 and asked.chosen[-1] == lengths[-1] - 1 and (asked.chosen < lengths).all()
    for column, row in enumerate(chosen_sentences(valid.lengths)):
        sentence, length = slice(valid.starts[row], valid.starts[row] + lengths[column]), lengths[column]
        np.testing.assert_array_equal(asked.inputs.words[:length, column], valid.words[sentence])
        np.testing.assert_array_equal(asked.answers[:length, column], valid.tags[sentence])
        assert asked.distances[:length, column].tolist() == [abs(k - asked.chosen[column]) for k in range(length)]


@pytest.mark.parametrize("way", ["forward", "reversed", "both"])
def test_a_source_token_is_as_far_as_the_recurrent_steps_to_what_is_written(way, folder):
    """Without attention: from the end that the encoder ends at, and on through the target."""
    changes = {"forward": {}, "reversed": {"reverse_source": True}, "both": {"bidirectional": True}}[way]
    config, data, *_ = prepared("translate", folder, attention="plain", **changes)
    asked, valid = asked_sentences.translated_sentences(config, data), data.splits["valid"]
    assert asked.chosen[0] == 0 and asked.answers.targets[asked.chosen[-1], -1] == data.vocabulary.target.eol_id
    for column, length in enumerate(asked.mask.sum(axis=0)):
        up, down = range(1, length + 1), range(length, 0, -1)
        steps = {"forward": down, "reversed": up, "both": map(min, up, down)}[way]
        found = asked.distances[:length, column] - asked.chosen[column]
        assert found.tolist() == list(steps) and (asked.distances[length:, column] == -1).all()
    assert sorted(asked.mask.sum(axis=0)) == sorted(valid.source_lengths)


def test_the_gradient_of_a_reversed_source_stands_at_its_own_token(folder):
    config, data, model, params = prepared("translate", folder, attention="plain", reverse_source=True)
    asked = asked_sentences.translated_sentences(config, data)
    found = answer_gradients(model.opened, params, asked.inputs, asked.answers, asked.mask).inputs
    norms = chosen_answer_norms(model.opened, params, asked.inputs, asked.answers, asked.chosen, asked.mask)
    expected = np.stack([found[k, :, b] for b, k in enumerate(asked.chosen)], axis=1)
    np.testing.assert_allclose(norms, expected, rtol=1e-4, atol=1e-9)


def test_the_longest_sentences_that_are_not_too_long_are_measured():
    lengths = np.asarray([3, LONGEST + 1, LONGEST, 5, 4])
    assert chosen_sentences(lengths).tolist() == [0, 4, 3, 2]
    assert chosen_sentences(np.arange(2 * SENTENCES)).tolist() == list(range(SENTENCES, 2 * SENTENCES))
    assert chosen_sentences(np.asarray([LONGEST + 2, LONGEST + 1])).tolist() == [1, 0]


def test_sentences_of_one_distance_are_refused_and_nothing_is_written(folder):
    texts = folder / "short.tsv"
    texts.write_text("good\tcab\nbad\tdab\n" * 40)
    config = lm_jax.config.ClassifyConfig(data=lm_jax.config.LabelledDataConfig(str(texts)), telemetry_every=5)
    with pytest.raises(UserError, match=r"telemetry_every needs .* got sentences of at most 1 word$"):
        lm_jax.train(config, folder / "refused")
    assert not (folder / "refused").exists()


def test_words_and_values_say_the_same(folder):
    config, data, model, params = prepared("classify", folder, bidirectional=False, pooling="last", cell="rnn")
    asked = asked_sentences.labelled_texts(config, data)
    small = jax.tree.map(lambda leaf: 0.1 * leaf, params)  # so that every step loses most of the gradient
    found = build_measure(asked, model.opened, asked_sentences.label_words(config))(1200, small, 1.0)
    ten, one = found.values["horizon_10"], found.values["horizon_1"]
    assert 0 < ten <= one and found.words == (
        f"gradient of a label after step 1,200: falls below 10 % of the nearest at {ten}, 1 % at {one} words from the "
        "end of the text"
    )
