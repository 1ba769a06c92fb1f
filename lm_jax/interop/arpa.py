r"""ARPA files: back-off tables as text, which KenLM, SRILM and others read and write.

    # lm_jax {"level": "word", "method": "katz"}
    \data\
    ngram 1=4
    ngram 2=5
                                        <- an empty line before every section
    \1-grams:
    -99	<s>	-0.30103                    log10 P, the words, log10 of the back-off weight; between them tabs
    -0.69897	</s>	0
    ..
    \2-grams:
    -0.39794	<s> the                  between words spaces; the longest n-grams have no back-off weight

    \end\

The end-of-line token is `</s>` where it is a word, and `<s>` where it starts a context. The first line is a comment
of ours, which the other programs skip: files without it hold words.

Words are written as they are. The types of other levels may hold white space, so in them white space, what cannot be
printed, and the backslash are written \u{20}, with the hexadecimal code point; an empty type is \u{}.
"""

import json
import re

from lm_jax.data.vocabulary import BYTES, END_OF_LINE, UNKNOWN, Vocabulary
from lm_jax.errors import UserError


START_OF_LINE = "<s>"
COMMENT = "# lm_jax "
ESCAPE = re.compile(r"\\u\{([0-9a-f]*)\}")
NOT_IN_WORDS = re.compile(r"[\s\0\ud800-\udfff]")


def comment(vocabulary: Vocabulary, method: str) -> str:
    """Returns the first line of a file of ours: the level of its tokens, how they are split, and the estimator."""
    metadata = {"level": vocabulary.level, "method": method, **vocabulary.splitting}
    if vocabulary.merges is not None:
        metadata["merges"] = vocabulary.merges
    return COMMENT + json.dumps(metadata)


def spell(vocabulary: Vocabulary) -> list[str]:
    """Returns the vocabulary entries as an ARPA file has them, in the order of their ids.

    Raises UserError for a word that an ARPA file cannot hold.
    """
    word_level = vocabulary.level == "word"
    spelled = [_checked(token) if word_level else _escaped(token) for token in vocabulary.tokens]
    spelled[vocabulary.eol_id] = END_OF_LINE
    return spelled


def _checked(word):
    if not word or word == START_OF_LINE or NOT_IN_WORDS.search(word):
        raise UserError(f"a word in an ARPA file must not be {START_OF_LINE}, empty, or hold white space, got {word!r}")
    return word


def _escaped(token):
    if token in (START_OF_LINE, END_OF_LINE, UNKNOWN):
        return f"\\u{{{ord(token[0]):x}}}{token[1:]}"
    plain = (c.isprintable() and not c.isspace() and c != "\\" for c in token)
    return "".join(c if ok else f"\\u{{{ord(c):x}}}" for c, ok in zip(token, plain, strict=True)) or "\\u{}"


def unspell(spelled: list[str], level: str, merges: str | None) -> Vocabulary:
    """Returns the vocabulary that `spell` was given.

    Args:
        spelled: The words of an ARPA file, in the order of their ids.
        level: "char", "byte", "word" or "bpe".
        merges: The JSON of a bpe tokenizer; None at other levels.

    Raises:
        UserError: For types that do not fit their level.
    """
    if level == "word":
        return Vocabulary(level, tuple(spelled))
    try:
        tokens = [ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "", word) for word in spelled]
    except (ValueError, OverflowError) as error:
        raise UserError(f"an escape in an ARPA file must be a code point, got {error}") from error
    if merges is not None and not isinstance(merges, str):
        raise UserError(f"the merges of an ARPA file must be a text, got {type(merges).__name__}")
    at = spelled.index(END_OF_LINE)
    if level == "char":
        tokens[at] = "\n"
    elif level == "byte":
        tokens[at] = BYTES[ord("\n")]
    if level == "byte" and tuple(tokens) != BYTES:
        raise UserError("the entries of an ARPA file of bytes must be 00 to ff in this order, got others")
    if level == "char" and any(len(token) > 1 for token in tokens):
        raise UserError("the entries of an ARPA file of characters must be single characters, got longer ones")
    if level not in ("char", "byte", "bpe") or (level == "bpe") != (merges is not None):
        raise UserError(f"the level of an ARPA file must be char, byte, word or bpe (with merges), got {level!r}")
    return Vocabulary(level, tuple(tokens), merges)
