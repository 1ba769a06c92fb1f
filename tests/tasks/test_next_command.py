"""The command that a finished run proposes: its prompt is of the text, never of the model's sample."""

import shlex

import pytest

from lm_jax.data import load_corpus
from lm_jax.tasks.next_command import next_command


CASES = {
    "three words": ("\n$ the\nshe said (x)\nthe old man said\n", "the old man"),
    "two words": ("a\nold man\n", "old man"),
    "one word": ("?? !!\nman $$\n", "man"),
    "an apostrophe": ("it's the old one\n", "it's the old"),
    "no plain line": ("$HOME\n-- --\n", ""),
    "a flag": ("--prompt of it\nan old man\n", "an old man"),
}


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize(("valid", "prompt"), CASES.values(), ids=CASES)
def test_the_prompt_is_the_beginning_of_a_validation_line(valid, prompt, level, tmp_path):
    for name, text in (("train", valid + "a b\n"), ("valid", valid), ("test", "a b\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    words = shlex.split(next_command(load_corpus(str(tmp_path), level)))
    assert words == ["lm-jax", "generate", "{run}", *(["--prompt", prompt] if prompt else [])]


def test_unknown_words_are_no_prompt(tmp_path):
    for name, text in (("train", "the man said\n"), ("valid", "the zebra said\nthe man said\n"), ("test", "the\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    assert next_command(load_corpus(str(tmp_path), "word")).endswith(" --prompt 'the man said'")
