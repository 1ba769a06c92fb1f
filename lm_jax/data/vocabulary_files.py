"""A vocabulary in a file of another program: one word a line, in the order of the ids."""

from pathlib import Path

from lm_jax.data.text_files import read_text
from lm_jax.data.vocabulary import END_OF_LINE, Vocabulary
from lm_jax.errors import UserError
from lm_jax.files import write_text


ENDS = (END_OF_LINE, "<eos>")  # what programs call the end of a line
NAMES = ("vocabulary",)


def read_vocabulary_file(path: str | Path) -> Vocabulary:
    """Reads a vocabulary: one word a line in the order of the ids, or the vocabulary.json of a run.

    The end of a line is `</s>`, or `<eos>` as torch's example has it, which becomes `</s>`.
    Raises UserError, with the number of the line, for what is no word or there twice, and without an end of line.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() == ".json":
        return _read_json(path)
    words = str(read_text(path, "char")).removesuffix("\n").split("\n")
    at: dict[str, int] = {}
    for number, word in enumerate(words, 1):
        if len(word.split()) != 1 or word.strip() != word:
            raise UserError(f"a vocabulary has one word a line, got {word!r} in line {number} of {path}", NAMES)
        if word in at:
            raise UserError(
                f"a vocabulary has every word once, got {word!r} in lines {at[word]} and {number} of {path}",
                NAMES,
            )
        at[word] = number
    end = next((name for name in ENDS if name in at), None)
    if end is None:
        raise UserError(f"a vocabulary needs a word for the end of a line, {' or '.join(ENDS)}: {path}", NAMES)
    words[at[end] - 1] = END_OF_LINE
    return Vocabulary("word", tuple(words))


def write_vocabulary_file(vocabulary: Vocabulary, path: str | Path) -> None:
    """Writes what `read_vocabulary_file` reads: words a line each, or JSON where the name ends in .json.

    Raises UserError for tokens that are no words, such as white space, but in JSON.
    """
    if str(path).lower().endswith(".json"):
        vocabulary.save(Path(path))
        return
    if vocabulary.level != "word":
        raise UserError(f"a list of words is of level word; give FILE.json for level {vocabulary.level}", NAMES)
    write_text(path, "".join(f"{token}\n" for token in vocabulary.tokens))


def _read_json(path):
    if not path.is_file():
        raise UserError(f"vocabulary must be an existing file, got {path}", NAMES)
    try:
        return Vocabulary.load(path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"a .json vocabulary is the vocabulary.json of a run, got {path}: {error}", NAMES) from error
