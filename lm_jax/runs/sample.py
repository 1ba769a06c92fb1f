"""A sample of text to look at."""

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.inference.generation import generate
from lm_jax.inference.sampling import Sampler
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Key, Params


SAMPLE_TOKENS = {"char": 160, "byte": 160, "word": 40, "bpe": 60}


def sample_text(model: LanguageModel, params: Params, vocabulary: Vocabulary, key: Key) -> str:
    """Some lines at temperature 0.8."""
    count = SAMPLE_TOKENS[vocabulary.level]
    tokens = generate(model, params, [], count, key, eol_id=vocabulary.eol_id, sampler=Sampler(temperature=0.8))
    return vocabulary.decode(tokens[:, 0]).strip("\n")
