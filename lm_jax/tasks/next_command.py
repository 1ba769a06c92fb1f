"""The command that a finished run proposes: its model goes on with words that the text really has."""

import re
import shlex

import numpy as np

from lm_jax.data.corpora import Corpus
from lm_jax.data.vocabulary import UNKNOWN


LOOKED_AT = 4096  # tokens of the validation text
WORDS = 3
PLAIN = re.compile(r"\w[\w ,.'-]*")


def next_command(corpus: Corpus) -> str:
    """Returns what to type next: `generate` with the beginning of a line of the validation text as its prompt."""
    prompt = prompt_of(corpus)
    return "lm-jax generate {run}" + (f" --prompt {shlex.quote(prompt)}" if prompt else "")


def prompt_of(corpus: Corpus) -> str:
    """Returns the first words of the first line that begins with three plain words, all known to the model; else of one
    that begins with two, or has one; "" where there is none."""
    text = corpus.vocabulary.decode(np.asarray(corpus.valid[:LOOKED_AT]).tolist())
    lines = [line.split() for line in text.split("\n")[:-1]]
    for count in range(WORDS, 0, -1):
        for words in lines:
            prompt = " ".join(words[:count])
            if len(words) >= count and UNKNOWN not in words[:count] and PLAIN.fullmatch(prompt):
                return prompt
    return ""
