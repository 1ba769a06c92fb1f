"""The run of a language model, loaded: every question to it as a method."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, overload

from lm_jax.inference.sampling import Sampler
from lm_jax.queries.complete import Completions, complete
from lm_jax.queries.continue_text import Hypothesis, beam_search, generate, stream_text
from lm_jax.queries.evaluate import Evaluation, evaluate
from lm_jax.queries.gradient_map import GradientMap, gradient_map
from lm_jax.queries.gradients import GradientReport, gradients
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.queries.minimal_pairs import MinimalPairs, Pair, minimal_pairs
from lm_jax.queries.next_tokens import NextToken, next_tokens
from lm_jax.queries.score import LineScore, TokenScore, score, score_tokens
from lm_jax.queries.token_text import Text


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedLanguageModel(LoadedRun):
    """A trained model with its parameters and its vocabulary, and every question to it as a method.

    Of a network and of an n-gram model alike; gradients are of recurrent networks only. Texts go in and come out as
    characters (or go in as ids). For what the methods do not have, `model` and `params` are what the functions of the
    library take.
    """

    model_type: ClassVar[str] = "language model"

    def generate(
        self,
        prompt: Text = "",
        tokens: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        seed: int = 0,
        num_samples: int = 1,
    ) -> str | list[str]:
        """Continues a prompt.

        Args:
            prompt: The text to continue, or its ids; it follows an end of line.
            tokens: How many tokens to add.
            temperature: Logits are divided by it; above 0, lower is safer.
            top_k: Choose among the k most likely tokens only.
            top_p: Choose among the most likely tokens whose probabilities add up to p only.
            greedy: Always the most likely token.
            seed: Seed of the choices.
            num_samples: How many continuations.

        Returns:
            The text, the prompt included; a list of texts where num_samples is above 1.

        Raises:
            UserError: For a prompt that the vocabulary cannot encode, and settings outside their range.
        """
        return generate(
            self,
            prompt,
            tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            greedy=greedy,
            seed=seed,
            num_samples=num_samples,
        )

    def stream(
        self, prompt: Text = "", tokens: int = 200, sampler: Sampler = Sampler(), seed: int = 0
    ) -> Iterator[str]:
        """Yields a continuation piece by piece, each as soon as it is there, without the prompt.

        Args:
            prompt: The text to continue, or its ids; it follows an end of line.
            tokens: How many tokens to add.
            sampler: How a token is chosen.
            seed: Seed of the choices.

        Raises:
            UserError: For a prompt that the vocabulary cannot encode, and tokens below 1.
        """
        return stream_text(self, prompt, tokens, sampler, seed)

    def beam_search(
        self, prompt: Text = "", tokens: int = 200, beam_size: int = 5, length_penalty: float = 0.0
    ) -> list[Hypothesis]:
        """Searches for the most probable continuations of the line that a prompt begins.

        Args:
            prompt: The text to continue, or its ids; it follows an end of line.
            tokens: The most tokens to add; a continuation ends at an end of line.
            beam_size: Number of hypotheses in the beam.
            length_penalty: Log-probabilities are divided by length to this power.

        Returns:
            At most beam_size hypotheses, best first; none of probability 0.

        Raises:
            UserError: For a prompt that the vocabulary cannot encode, and settings outside their range.
        """
        return beam_search(self, prompt, tokens, beam_size, length_penalty)

    def next(self, prompt: Text = "", k: int = 10) -> list[NextToken]:
        """Predicts the k most likely tokens after a prompt, most likely first."""
        return next_tokens(self, prompt, k)

    def complete(self, prompt: Text = "", k: int = 10, *, special: bool = False) -> Completions:
        """Finds the k words that are most likely to come next, whatever the tokens of the model are.

        Args:
            prompt: The text before, or its ids; it follows an end of line.
            k: How many words.
            special: Whether the end of a line, <unk> and the like are offered too.

        Raises:
            UserError: For a prompt that the vocabulary cannot encode, and a k below 1.
        """
        return complete(self, prompt, k, special=special)

    def next_tokens(self, prompt: Text = "", k: int = 10) -> list[NextToken]:
        """Predicts as `next`."""
        return next_tokens(self, prompt, k)

    def score(self, text: Text, *, alone: bool = False) -> list[LineScore]:
        """Scores every line of a text, in the context of those before it or `alone`; nats."""
        return score(self, text, alone=alone)

    def score_tokens(self, text: Text, *, alone: bool = False) -> list[TokenScore]:
        """Scores every token of a text, in the context of all before it or, `alone`, of its line; nats."""
        return score_tokens(self, text, alone=alone)

    def evaluate(
        self,
        data: str | None = None,
        split: str = "test",
        *,
        eval_streams: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Scores one split of a text.

        Args:
            data: A text as `DataConfig.data` names it. Default: the run's own.
            split: "train", "valid", "test" or "all".
            eval_streams: Parallel streams that the text is cut into. Default: the run's setting.
            progress: Called with (chunks done, chunks in all).

        Raises:
            UserError: For an unknown split, a text with tokens that the vocabulary lacks, and a model whose numbers are
                no probabilities.
        """
        return evaluate(self, data, split, eval_streams=eval_streams, progress=progress)

    @overload
    def gradients(self, text: Text, *, layer: int = -1) -> GradientMap: ...

    @overload
    def gradients(
        self,
        text: None = None,
        *,
        data: str | None = None,
        split: str = "valid",
        texts: int = 16,
        length: int = 200,
        max_lag: int | None = None,
        layer: int = -1,
    ) -> GradientReport: ...

    def gradients(
        self,
        text: Text | None = None,
        *,
        data: str | None = None,
        split: str = "valid",
        texts: int = 16,
        length: int = 200,
        max_lag: int | None = None,
        layer: int = -1,
    ) -> GradientMap | GradientReport:
        """Measures how far back gradients reach: in one text, token by token, or on average over many.

        Args:
            text: A text, or its ids: the answer is its `gradient_map`. Without it, excerpts of `data` are measured, as
                by `lm_jax.gradients`, which has the other arguments too.
            data: A text as `DataConfig.data` names it. Default: the run's own.
            split: "train", "valid", "test" or "all".
            texts: How many excerpts.
            length: Predictions in each.
            max_lag: The largest distance in tokens.
            layer: 0 is nearest to the input, -1 the top.

        Returns:
            What is left of the gradient between every two tokens of the text; or by distance.

        Raises:
            UserError: For a run without a recurrent network, and a text that cannot be measured.
        """
        if text is not None:
            return gradient_map(self, text, layer=layer)
        return gradients(self, data, split, texts=texts, length=length, max_lag=max_lag, layer=layer)

    def gradient_map(self, text: Text, *, layer: int = -1) -> GradientMap:
        """Measures which past tokens the loss on each token of a text still reaches."""
        return gradient_map(self, text, layer=layer)

    def minimal_pairs(
        self, pairs: str | Path | Sequence[Pair | tuple[str, str] | tuple[str, str, str]], group: str | None = None
    ) -> MinimalPairs:
        """Judges pairs of a good and a bad sentence, given as texts or in a file of JSON lines."""
        return minimal_pairs(self, pairs, group)
