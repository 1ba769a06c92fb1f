"""The help of the verbs: short by default, whole on request, with examples that run."""

import importlib
import re
import shlex
import subprocess
import sys

import pytest

import lm_jax
import lm_jax.config
from lm_jax.cli.examples import EXAMPLES
from lm_jax.cli.flags import GROUPS, config_flags, flag_name, own_flags
from lm_jax.cli.parsing import build_parser
from lm_jax.cli.verbs import ALSO_CALLED, VERBS
from tests.cli.command_line import parsed, stopped


FLAG = re.compile(r"^  (--[a-z][\w-]*)", re.MULTILINE)
# what would begin an order to the program instead of a phrase about the thing
ORDERS = (
    "Use Draw Print Choose Read Stop Connect Normalise Score Search Evaluate Vary Train Go Say Take Show Write Of The"
)


def classes(verb):
    """The dataclasses of a verb's arguments and settings."""
    entry = VERBS[verb]
    module = importlib.import_module(f"lm_jax.cli.{entry.function.partition(':')[0]}")
    return getattr(module, entry.arguments), entry.config and getattr(lm_jax.config, entry.config)


def flags(verb):
    arguments, config = classes(verb)
    return own_flags(arguments, "run") + (config_flags(config) if config else [])


@pytest.fixture
def shown(monkeypatch, command):
    """The help of a verb at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(verb, flag="--help"):
        code, out, err = command(*verb.split(), flag)
        assert code == 0 and err == ""
        return out

    return show


@pytest.mark.parametrize("verb", VERBS)
def test_the_short_help_fits_a_screen(verb, shown):
    text = shown(verb)
    assert len(text.splitlines()) <= (42 if verb == "train" else 47)
    assert all(len(line) <= 80 for line in text.splitlines())
    own = flags(verb)
    common = {flag_name(flag.name) for flag in own if flag.common or VERBS[verb].config is None}
    assert set(FLAG.findall(text)) == common
    assert (f"lm-jax {verb} --help-all shows all {len(own)} settings" in text) == (len(common) < len(own))


@pytest.mark.parametrize("verb", VERBS)
def test_descriptions_name_other_settings_as_flags(verb, shown):
    text = shown(verb, "--help-all").replace("1/sqrt(hidden_size)", "")  # a formula
    names = {flag.name for flag in flags(verb)} | {"init_from", "decay_factor"}
    assert not [name for name in names if "_" in name and re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("verb", VERBS)
def test_the_whole_help_has_every_setting_once_and_sorted(verb, shown):
    text = shown(verb, "--help-all")
    assert all(len(line) <= 80 for line in text.splitlines())
    found = FLAG.findall(text)
    assert sorted(found) == sorted({flag_name(flag.name) for flag in flags(verb)})
    titles = [line for line in re.findall(r"^(.*):$", text, re.MULTILINE) if line in GROUPS.values()]
    assert titles == [title for title in GROUPS.values() if title in titles]
    for title in titles:
        group = FLAG.findall(text.partition(f"\n{title}:\n")[2].partition("\n\n")[0])
        assert group and group == sorted(group)


@pytest.mark.parametrize("verb", VERBS)
def test_a_description_is_a_phrase_about_the_thing(verb):
    for flag in flags(verb):
        assert re.match(r"[A-Z]|train |stream|none", flag.help) and flag.help.endswith("."), flag
        assert flag.help.split()[0] not in ORDERS.split(), flag
        assert "efault" not in flag.help and "(None)" not in flag.help, flag  # told once, in brackets
        assert flag.group in GROUPS
        assert flag.words.get("metavar", "N") != "TEXT" or flag.name in ("prompt", "text", "group", "target"), flag


@pytest.mark.parametrize("verb,example", [(verb, example) for verb in VERBS for example in EXAMPLES[verb]])
def test_an_example_parses(verb, example, monkeypatch, shown):
    assert len(EXAMPLES[verb]) == 3 and example in shown(verb)
    words = shlex.split(example.rpartition("| ")[2].partition(" >")[0])
    assert words[0] == "lm-jax"
    found, arguments, given = parsed(words[1:], monkeypatch)
    assert found == verb and isinstance(arguments, classes(verb)[0])
    config = classes(verb)[1]
    if config and not getattr(arguments, "resume", None):
        lm_jax.config.from_flat(config, given).check()


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_verbs_names_what_a_verb_reads(verb, monkeypatch):
    words = [*verb.split(), *("x" for field in stopped_positionals(verb))]
    _, caught = stopped(words, monkeypatch)
    assert caught.classes[: 1 + bool(VERBS[verb].config)] == tuple(filter(None, classes(verb)))


def stopped_positionals(verb):
    """The words without a flag that a verb needs."""
    parser = build_parser(*classes(verb), verb)
    return [action for action in parser._actions if not action.option_strings and action.nargs != "?"]


@pytest.mark.parametrize("word", ["--lr", "--learning-rate", "--learning_rate"])
@pytest.mark.parametrize("equals", [True, False])
def test_an_alias_works_as_the_flag_does(word, equals, monkeypatch, shown):
    words = [f"{word}=0.25"] if equals else [word, "0.25"]
    assert parsed(["train", *words], monkeypatch)[2] == {"learning_rate": 0.25}
    assert "--learning-rate, --lr RATE" in shown("train")


@pytest.mark.parametrize("words", [["my.txt", "--level", "word"], ["--level", "word", "my.txt"]])
def test_a_text_needs_no_flag(words, monkeypatch):
    _, arguments, given = parsed(["train", *words], monkeypatch)
    assert arguments.file == "my.txt" and given == {"level": "word"}


def test_a_text_is_given_once(command):
    for verb in (["train"], ["ngram", "train"], ["tag", "train"]):
        code, _, err = command(*verb, "a.txt", "--data", "b.txt")
        assert code == 2 and "the data are given once, as FILE or as --data FILE, got a.txt and b.txt" in err


def test_help_of_a_verb_in_other_words(command):
    for verb in ("train", "ngram train"):
        assert command("help", *verb.split()) == command(*verb.split(), "--help")
    assert command("help") == command() == command("--help")
    ngram = command("ngram", "--help")[1]
    assert "lm-jax ngram prune" in ngram and "lm-jax classify" not in ngram
    assert command("help", "ngram")[1] == ngram


def test_the_versions(command):
    import jax

    for word in ("--version", "-V", "-v", "version"):
        code, out, _ = command(word)
        assert code == 0 and out.startswith(f"lm-jax {lm_jax.__version__} (JAX {jax.__version__}, Python 3.")


@pytest.mark.parametrize(
    "words,meant",
    {
        "ngarm train": "ngram train",
        "trian": "train",
        "sample": "generate",
        "perplexity": "evaluate",
        "minimal_pairs": "minimal-pairs",
        "translate predcit": "translate predict",
    }.items(),
)
def test_the_verb_that_was_meant(words, meant, command):
    code, _, err = command(*words.split())
    assert code == 2 and err.endswith(f"; did you mean {meant}?\n")
    assert set(ALSO_CALLED.values()) <= VERBS.keys()


def test_the_package_is_a_command():
    done = subprocess.run([sys.executable, "-m", "lm_jax", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "lm-jax train" in done.stdout
