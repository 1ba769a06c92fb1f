"""Which words an answer rests on, of the models that read a sentence: what the page draws beside a language model's."""

import pytest

import lm_jax
from lm_jax.queries import any_gradient_map
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


MODELS = {  # how each is made, a sentence, and what its answer has besides
    "classifier": (classify_config, "good", {"label", "probability", "occlusion"}),
    "tagger": (tag_config, "a cab bad", set()),
    "translator": (translate_config, "eins zwei.", {"translation", "attention"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_the_words_are_those_of_the_query(kind, tmp_path):
    pytest.importorskip("starlette")
    from lm_jax.serve.fields import Fields
    from lm_jax.serve.gradients import gradients
    from lm_jax.serve.limits import Limits
    from lm_jax.serve.models import serve_models

    config, sentence, besides = MODELS[kind]
    run = lm_jax.train(config(tmp_path / "text.tsv", steps=2), tmp_path / "run")
    served = serve_models({kind: lm_jax.load(run.folder)})
    answer = gradients(served, Fields({"text": sentence}, Limits()))()
    found = any_gradient_map(run.folder, sentence)
    assert (answer["source"], answer["answers"]) == (found.source, found.answers)
    assert answer["norms"] == pytest.approx(found.norms, abs=1e-6)
    assert besides <= set(answer)
