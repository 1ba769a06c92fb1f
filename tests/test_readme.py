"""The README keeps its promises: its Python runs, its flags and links exist."""

import re
from pathlib import Path

from lm_jax.cli.main import VERBS


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_blocks_run_one_after_the_other(capsys):
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert "perplexity" in capsys.readouterr().out
    model = names["models"].recurrent_lm(5, names["mgu"](3, 4))
    params = model.init(names["jax"].random.key(0))
    _, logits = model.unroll(params, model.initial_carry(params, (2,)), names["jnp"].zeros((3, 2), int))
    assert logits.shape == (3, 2, 5)


def test_every_verb_and_flag_that_it_names_exists(capsys):
    import pytest

    from lm_jax.cli.main import main

    helps = {}
    for verb in VERBS:
        with pytest.raises(SystemExit):
            main([*verb.split(), "--help"])
        helps[verb] = capsys.readouterr().out + " --lr "
    for verb, words in re.findall(r"lm-jax ((?:ngram )?[\w-]+)([^`\n|]*)", README):
        assert verb in VERBS
        for flag in re.findall(r"(--[a-z][\w-]*)", words):
            assert flag in helps[verb], f"lm-jax {verb} has no {flag}"


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_nothing_was_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", README)
