"""Labels of texts, and the words that they depend on.

The gradient of the decision by each word is compared with what happens without the word. With x_t the embedding of word
t, u that of an unknown word and L = log P(label | text):

    gradient_t  = dL/dx_t . (x_t - u)                          to first order, what L loses where word t is unknown
    occlusion_t = L - log P(label | text, word t unknown)       what it loses
    reach_t     = ||dL/dx_t||                                   how strongly L depends on the state of word t
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.errors import UserError
from lm_jax.inference.classification import class_log_probs
from lm_jax.inference.translation import SHORTEST_ALONE, pad_columns
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded
from lm_jax.queries.texts import checked_text, checked_texts
from lm_jax.report.html import fragment, table_html
from lm_jax.report.rows import Rows
from lm_jax.report.table import Table
from lm_jax.short_repr import shortly_shown


@shortly_shown
class Prediction(NamedTuple):
    """The label of a text, its probability, and that of every label."""

    text: str
    label: str
    probability: float
    probabilities: dict[str, float]


@shortly_shown
class Explanation(NamedTuple):
    """What a label rests on: for each word the numbers of the module, in nats. A positive one speaks for the label."""

    label: str
    probability: float
    words: list[str]
    gradient: list[float]
    occlusion: list[float]
    reach: list[float]

    def _repr_html_(self) -> str:
        return fragment(f"{self.label} ({self.probability:.1%})", table_html(self.table()))

    def table(self) -> Table:
        """Returns a row for each word, with its numbers."""
        numbers = zip(self.words, self.gradient, self.occlusion, self.reach, strict=True)
        rows = [(word, f"{gradient:+.3f}", f"{loss:+.3f}", f"{reach:.3f}") for word, gradient, loss, reach in numbers]
        return Table(("word", "gradient", "occlusion", "reach"), tuple(rows))


def classify(run: RunLike, texts: Sequence[str], cell: UserCell | None = None) -> list[Prediction]:
    """Predicts the label of each text.

    Args:
        run: The folder of a classifier's run, or a run that is loaded.
        texts: Any number of texts.
        cell: The user's own cell that the run was trained with.

    Returns:
        A prediction for each text.

    Raises:
        UserError: For no run of a classifier, and a text that is empty or too long.
    """
    loaded = as_loaded(run, cell, "classifier")
    texts = checked_texts(texts)
    if not texts:
        return []
    ids = [encode_text(loaded, text) for text in texts]
    labels = loaded.vocabulary.labels
    probabilities = np.exp(class_log_probs(loaded.model, loaded.params, ids))
    return Rows(
        Prediction(text, labels[int(p.argmax())], float(p.max()), dict(zip(labels, p.tolist(), strict=True)))
        for text, p in zip(texts, probabilities, strict=True)
    )


def explain(run: RunLike, text: str, cell: UserCell | None = None) -> Explanation:
    """Measures the words of a text that its label depends on.

    Args:
        run: The folder of a classifier's run, or a run that is loaded.
        text: A text.
        cell: The user's own cell that the run was trained with.

    Returns:
        The label, and for each word the numbers of the module.

    Raises:
        UserError: For no run of a classifier, and a text that is empty or too long.
    """
    loaded = as_loaded(run, cell, "classifier")
    ids, unk_id = encode_text(loaded, text), loaded.vocabulary.unk_id
    occluded = np.where(np.eye(len(ids), dtype=bool), unk_id, ids)
    log_probs = class_log_probs(loaded.model, loaded.params, [ids, *occluded])
    label = int(log_probs[0].argmax())
    columns, mask = pad_columns(np.zeros(1, int), [ids], SHORTEST_ALONE)
    gradient, reach = _gradients(loaded.model)(loaded.params, columns, mask, unk_id, label)
    return Explanation(
        label=loaded.vocabulary.labels[label],
        probability=float(np.exp(log_probs[0, label])),
        words=loaded.vocabulary.split(text),
        gradient=np.asarray(gradient)[: len(ids)].tolist(),
        occlusion=(log_probs[0, label] - log_probs[1:, label]).tolist(),
        reach=np.asarray(reach)[: len(ids)].tolist(),
    )


@functools.cache
def _gradients(model):
    @jax.jit
    def gradients(params, ids, mask, unk_id, label):
        xs = model.embed(params, ids)

        def log_prob(xs):
            return jax.nn.log_softmax(model.logits_of_embedded(params, xs, mask=mask))[0, label]

        slopes = jax.grad(log_prob)(xs)[:, 0]
        difference = xs[:, 0] - model.embed(params, jnp.asarray(unk_id)[None])
        return jnp.sum(slopes * difference, axis=-1), jnp.linalg.norm(slopes, axis=-1)

    return gradients


def encode_text(run: LoadedRun, text: str) -> np.ndarray:
    """Returns the ids of a text; raises UserError for one that is empty or too long."""
    ids, limit = run.vocabulary.encode(checked_text(text)), run.config.data.max_length
    if not len(ids):
        raise UserError(f"a text must hold a word, got {text!r}")
    if len(ids) > limit:
        raise UserError(f"a text has at most {limit:,} tokens, as those of the run, got {len(ids):,}")
    return ids
