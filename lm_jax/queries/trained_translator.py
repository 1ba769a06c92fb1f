"""The run of a translator, loaded: every question to it as a method."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, overload

from lm_jax.inference.noisy_channel import Weights
from lm_jax.queries.evaluate import evaluate
from lm_jax.queries.loaded_run import LoadedRun, RunLike
from lm_jax.queries.noisy_channel import ChannelTuning, Reranked, rerank, tune_weights
from lm_jax.queries.source_gradients import SourceGradientMap, translation_gradients
from lm_jax.queries.translate import AttentionMap, Translation, attention_map, translate
from lm_jax.tasks.translate import TranslationEvaluation


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedTranslator(LoadedRun):
    """A trained translator with its parameters and its vocabularies, and every question to it as a method."""

    model_type: ClassVar[str] = "translator"

    @overload
    def predict(self, texts: str) -> str: ...

    @overload
    def predict(self, texts: Sequence[str]) -> list[str]: ...

    def predict(self, texts: str | Sequence[str]) -> str | list[str]:
        """Translates a text, or each of several, and returns the translations alone."""
        found = [best[0].text for best in translate(self, [texts] if isinstance(texts, str) else texts)]
        return found[0] if isinstance(texts, str) else found

    def translate(
        self,
        text: str,
        *,
        beam_size: int | None = None,
        length_penalty: float | None = None,
        coverage_penalty: float | None = None,
    ) -> Translation:
        """Translates one text.

        Args:
            text: A sentence.
            beam_size: Hypotheses of the search. Default: the run's setting.
            length_penalty: Log-probabilities are divided by length to this power. Default: the run's setting.
            coverage_penalty: Weight of what attention has left of the source. Default: the run's setting.

        Raises:
            UserError: For a text that is empty or too long, and a setting out of its range.
        """
        settings = {"beam_size": beam_size, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
        return translate(self, [text], **settings)[0][0]

    def translate_all(
        self,
        texts: Sequence[str],
        *,
        n_best: int = 1,
        beam_size: int | None = None,
        length_penalty: float | None = None,
        coverage_penalty: float | None = None,
    ) -> list[list[Translation]]:
        """Translates each text.

        Args:
            texts: Any number of sentences.
            n_best: How many translations of each.
            beam_size: Hypotheses of the search. Default: the run's setting.
            length_penalty: Log-probabilities are divided by length to this power. Default: the run's setting.
            coverage_penalty: Weight of what attention has left of the source. Default: the run's setting.

        Returns:
            For each text at most n_best translations, best first.

        Raises:
            UserError: For a text that is empty or too long, and a setting out of its range.
        """
        settings = {"beam_size": beam_size, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
        return translate(self, texts, n_best=n_best, **settings)

    def rerank(
        self,
        texts: Sequence[str],
        *,
        reverse: RunLike,
        language_model: RunLike,
        weights: Sequence[float] = Weights(),
        n_best: int = 1,
        beam_size: int | None = None,
    ) -> list[list[Reranked]]:
        """Translates each text, ranked with a translator in the other direction and a language model.

        Args:
            texts: Any number of sentences.
            reverse: The run of a translator in the other direction.
            language_model: The run of a language model of the language that is written.
            weights: Of log P(y | x), log P(x | y), log P(y) and |y|; see lm_jax/inference/noisy_channel.py.
            n_best: How many translations of each.
            beam_size: Candidates of each text. Default: the run's setting.

        Returns:
            For each text at most n_best translations, best first.

        Raises:
            UserError: For runs that do not belong together, n_best above beam_size, and as `translate_all`.
        """
        return rerank(
            self,
            texts,
            reverse=reverse,
            language_model=language_model,
            weights=weights,
            n_best=n_best,
            beam_size=beam_size,
        )

    def tune_weights(
        self,
        *,
        reverse: RunLike,
        language_model: RunLike,
        data: str | None = None,
        split: str = "valid",
        beam_size: int | None = None,
    ) -> ChannelTuning:
        """Finds the weights of `rerank` that are best on pairs.

        Args:
            reverse: The run of a translator in the other direction.
            language_model: The run of a language model of the language that is written.
            data: Parallel text as for training. Default: the run's own.
            split: "train", "valid" or "test".
            beam_size: Candidates of each text. Default: the run's setting.

        Returns:
            The weights, and what they are worth by BLEU, or without sacrebleu by chrF.

        Raises:
            UserError: For runs that do not belong together.
        """
        return tune_weights(
            self, reverse=reverse, language_model=language_model, data=data, split=split, beam_size=beam_size
        )

    def attention(self, source: str, target: str) -> AttentionMap:
        """Measures which source tokens each token of a translation was written beside."""
        return attention_map(self, source, target)

    def gradient_map(self, text: str, translation: str | None = None, *, layer: int | None = None) -> SourceGradientMap:
        """Measures which source words and states each word of a translation rests on.

        Args:
            text: A sentence.
            translation: Any translation of it. Default: the model's own.
            layer: The layer whose states are measured, 0 is nearest to the input, -1 the top. Default: all.

        Raises:
            UserError: For a text that cannot be read.
        """
        return translation_gradients(self, text, translation, layer=layer)

    def evaluate(
        self, data: str | None = None, split: str = "test", *, progress: Callable[[int, int], None] | None = None
    ) -> TranslationEvaluation:
        """Scores one split of parallel text.

        Args:
            data: Parallel text as for training. Default: the run's own.
            split: "train", "valid", "test" or "all".
            progress: Called with (batches done, batches in all).

        Raises:
            UserError: For an unknown split, and data that cannot be read.
        """
        return evaluate(self, data, split, progress=progress)
