"""Words of a prompt that a model does not know: said, so that nobody takes the prompt for understood."""

import sys
from typing import Any

from lm_jax.report.visible_text import one_line


def report_unknown(vocabulary: Any, prompt: str) -> None:
    """Prints to standard error the words of a prompt that the vocabulary has only as <unk>, if there are any."""
    from lm_jax.queries.token_text import unknown_words

    words = unknown_words(vocabulary, prompt)
    if words:
        print(f"words that the model knows only as <unk>: {one_line(', '.join(words))}", file=sys.stderr)
