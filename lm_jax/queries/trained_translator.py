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
        """Translates one text; see `translate_all`."""
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
        """Translates each text, with the n_best translations of each, best first; settings are by default the run's."""
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
        """Translates each text, ranked with a translator in the other direction and a language model."""
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
        """Finds the weights of `rerank` that are best on validation pairs, by default of the run's own."""
        return tune_weights(
            self, reverse=reverse, language_model=language_model, data=data, split=split, beam_size=beam_size
        )

    def attention(self, source: str, target: str) -> AttentionMap:
        """Measures which source tokens each token of a translation was written beside."""
        return attention_map(self, source, target)

    def gradient_map(self, text: str, translation: str | None = None, *, layer: int | None = None) -> SourceGradientMap:
        """Measures which source words and states each word of a translation rests on, by default of the model's own."""
        return translation_gradients(self, text, translation, layer=layer)

    def evaluate(
        self, data: str | None = None, split: str = "test", *, progress: Callable[[int, int], None] | None = None
    ) -> TranslationEvaluation:
        """Scores one split of parallel text, by default of the run's own; as `lm_jax.evaluate`."""
        return evaluate(self, data, split, progress=progress)
