"""The axes of the vocabulary: as long as what they count, and everywhere where there is one."""

import jax
import pytest

from lm_jax.cells import lstm
from lm_jax.models import ngram_lm, recurrent_lm, unigram_cache, window_lm


V, CUTOFFS = 23, (5, 11)  # no other size is one of these, nor the numbers of words of the clusters, 6 and 12
MODELS = {
    "recurrent": recurrent_lm(V, lstm(4, 7)),
    "tied": recurrent_lm(V, lstm(4, 4), tied=True),
    "adaptive": recurrent_lm(V, lstm(4, 7), cutoffs=CUTOFFS),
    "adaptive_tied": recurrent_lm(V, lstm(4, 4), tied=True, cutoffs=CUTOFFS),
    "window": window_lm(V, window=3, embedding_size=3, hidden_size=4, direct=True),
    "window_tied": window_lm(V, window=1, embedding_size=4, hidden_size=4, tied=True, layer_norm=True),
}
WORDS = {V, CUTOFFS[0], CUTOFFS[1] - CUTOFFS[0], V - CUTOFFS[1]}


@pytest.mark.parametrize("name", MODELS)
def test_every_axis_of_words_is_declared_and_no_other(name):
    model = MODELS[name]
    params = jax.eval_shape(model.init, jax.random.key(0))
    axes = model.vocab_axes(params)
    assert jax.tree.structure(axes) == jax.tree.structure(params)
    for axis, leaf in zip(jax.tree.leaves(axes), jax.tree.leaves(params), strict=True):
        expected = [k for k, size in enumerate(leaf.shape) if size in WORDS]
        assert [axis] == (expected or [-1])


def test_models_without_such_parameters_say_so():
    assert unigram_cache(V).vocab_axes is None and ngram_lm(2, V, 0).vocab_axes is None
    assert ngram_lm(2, V, 0).opened is None and MODELS["window"].opened is None
