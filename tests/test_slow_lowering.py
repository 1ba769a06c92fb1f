"""The rest of what is jitted, analyses and answers about texts, is lowered for TPU and CUDA as the entries of
test_lowering.py are, and asks nothing of the host while it runs."""

import jax
import pytest

from lm_jax.analysis import lyapunov, observation, spectrum, truncation
from lm_jax.analysis.context_use import STARTS, _compiled_pass, _compiled_reading
from lm_jax.analysis.source_gradients import _compiled as _source_gradients
from lm_jax.analysis.weight_gradient import _compiled as _weight_gradient
from lm_jax.cells import gru, lstm, rnn
from lm_jax.data import Streams
from lm_jax.encoders import bidirectional
from lm_jax.inference import classification, continuations, free_running, tagging, translation, word_search
from lm_jax.inference.translation import SearchSettings
from lm_jax.models import recurrent_lm
from lm_jax.models.classifier import classifier
from lm_jax.models.conditional import Sizes, conditional_lm, decoder_input_size
from lm_jax.models.tag_outputs import tag_output
from lm_jax.models.tagger import TaggerInputs, tagger
from lm_jax.models.translator import translator
from lm_jax.queries import classify, reading
from lm_jax.queries.states import _compiled as _states
from lm_jax.training.side_by_side import vmapped
from tests.test_lowering import (
    KEY,
    MODELS,
    SAMPLER,
    B,
    Entry,
    H,
    T,
    V,
    check,
    flags,
    ids,
    numbers,
    shapes_of,
    traced_for_an_accelerator,  # noqa: F401 (a fixture)
    train_step,
)


pytestmark = pytest.mark.slow
PLACES = (0, 1)  # h and c


def language_model():
    return recurrent_lm(V, lstm(H, H))


def of_text(make):
    """An analysis of a text: what `make` compiles of a model that is opened, and (params, carry, inputs)."""
    model = language_model()
    return Entry(make(model.opened), (*shapes_of(model), ids(T, B)))


def with_targets(make):
    """The same with the targets of a text."""
    entry = of_text(make)
    return entry._replace(arguments=(*entry.arguments, ids(T, B)))


def seeds():
    """Training steps of two runs as one program."""
    steps, (state, streams, _), _ = train_step(MODELS["lstm"]())
    two = [state, state], [Streams(*streams)] * 2
    return Entry(jax.jit(lambda *a: vmapped(steps)(*a, T)), (*two, ids()))


def truncated():
    model = language_model()
    params, carry = shapes_of(model)
    carries = jax.tree.map(lambda leaf: numbers(T, *leaf.shape), carry)
    return Entry(truncation._compiled(model, 2), (params, carries, ids(T, B), ids(T, B)))


def jacobians():
    entry = of_text(lambda opened: spectrum._compiled(opened, PLACES, PLACES, 1))
    return entry._replace(arguments=(*entry.arguments, ids(2)))


def past():
    entry = of_text(lambda opened: _compiled_pass(opened, 2))
    return entry._replace(arguments=(*entry.arguments, ids(T, B)))


def contexts():
    model = language_model()
    starts = jax.tree.map(lambda leaf: numbers(len(STARTS), *leaf.shape), shapes_of(model)[1])
    arguments = shapes_of(model)[0], starts, numbers(B, H), ids(B), ids(T, B), ids()
    return Entry(_compiled_reading(model.opened), arguments)


def own_text():
    model = language_model()
    run = free_running._jitted_run(model, SAMPLER, 2, 0, True)
    return Entry(run, (shapes_of(model)[0], ids(T, B), ids(B), KEY))


def continued():
    model = language_model()
    return Entry(continuations._compiled(model), (*shapes_of(model), ids(T, B), ids(T, B), flags(T, B)))


def next_letter():
    model = language_model()
    return Entry(word_search._jitted_step(model), (*shapes_of(model), ids(B)))


def one_row(model):
    params = shapes_of(model)[0]
    return params, jax.eval_shape(lambda p: model.initial_carry(p, (1,)), params)


def shown_text():
    model = language_model()
    return Entry(reading._jitted_read(model), (*one_row(model), ids(T), ids(T), flags(T), ids()))


def units():
    model = language_model()
    return Entry(_states(model.opened, ((("h", 0), ("c", 1)),), True), (*one_row(model), ids(T)))


def reader(size):
    return bidirectional(rnn(size, 3), rnn(size, 3))


CLASSIFIER = classifier(V, 3, reader(H), pooling="attention", head_size=2)
TAGGER = tagger(reader(4), tag_output("crf", ("O", "B-x", "I-x")), (0, 1, 2, 3))
WORDS = TaggerInputs(ids(T, B), ids(T, B, 2))
FORM = "multiplicative"
DECODER = conditional_lm(
    V,
    gru(decoder_input_size(FORM, Sizes(3, 4, 3), False), 3),
    4,
    form=FORM,
    input_feeding=False,
    embedding_size=3,
    readout_size=3,
    forward_size=2,
)
TRANSLATOR = translator(V, bidirectional(gru(3, 2), gru(3, 2)), DECODER)


def of(model, function, *arguments):
    return Entry(function, (jax.eval_shape(model.init, KEY), *arguments))


def best_tags(params, inputs, mask):
    return tagging._predict(TAGGER)(params, inputs, mask, 2)


ENTRIES = {
    "seeds as one program": seeds,
    "weight gradient": lambda: with_targets(lambda opened: _weight_gradient(opened, PLACES, T - 1)),
    "truncated gradient": truncated,
    "carries of a text": lambda: of_text(truncation._compiled_carries),
    "Jacobians": jacobians,
    "Lyapunov exponents": lambda: of_text(lambda opened: lyapunov._compiled(opened, 2, 0)),
    "gates": lambda: of_text(observation._compiled),
    "use of the context, past": past,
    "use of the context, windows": contexts,
    "free-running loss": own_text,
    "continuations": continued,
    "words by letters": next_letter,
    "reading": shown_text,
    "states": units,
    "classes": lambda: of(CLASSIFIER, classification._forward(CLASSIFIER), ids(T, B)),
    "words of a class": lambda: of(CLASSIFIER, classify._gradients(CLASSIFIER), ids(T, 1), flags(T, 1), ids(), ids()),
    "gradients of a class": lambda: of(
        CLASSIFIER, _source_gradients(CLASSIFIER.opened), ids(T, B), ids(B), flags(T, B)
    ),
    "tags, scored": lambda: of(TAGGER, tagging._score(TAGGER), WORDS, ids(T, B), flags(T, B)),
    "tags, best": lambda: of(TAGGER, jax.jit(best_tags), WORDS, flags(T, B)),
    "translation": lambda: of(
        TRANSLATOR, translation._search(TRANSLATOR, 0, SearchSettings(2)), ids(T, B), flags(T, B)
    ),
    "translation, scored": lambda: of(
        TRANSLATOR, translation._score(TRANSLATOR, 0), ids(T, B), flags(T, B), ids(T, B), flags(T, B)
    ),
    "translation, aligned": lambda: of(TRANSLATOR, translation._align(TRANSLATOR, 0), ids(T), flags(T), ids(T)),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_it_is_lowered_and_asks_nothing_of_the_host(name, traced_for_an_accelerator):  # noqa: F811
    check(ENTRIES[name]())
