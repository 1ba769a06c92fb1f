"""Spaces between words that were parted from their punctuation: "don ' t ( now ) !" reads "don't (now)!".

White space is lost where words and punctuation are parted, so this is a guess by the habits of English text. Only signs
are put to words, never a word to a word (but a digit to a digit where each is a word), so that the text splits into the
same words again: where it would not, a space stays.
"""

from lm_jax.data.pre_tokenizers import PRE_TOKENIZERS, pre_tokenize


CLOSING = frozenset(".,;:!?)]}%…»”")  # signs that follow a word without a space
OPENING = frozenset("([{$£€#@«“¿¡")  # signs that a word follows without a space
POINTS = frozenset(".,:")  # signs inside a number
APOSTROPHES = frozenset("'’")
JOINING = frozenset("-—/")  # signs without a space on either side
LOOKED_BACK_AT = 8  # words without a space that a pre-tokeniser is asked about
ENDINGS = frozenset("s t m d re ve ll em am all".split())  # of a word with an apostrophe: it's, don't, I'm, they'll


class Spacing:
    """The spaces of one line, word by word. tokenizer: how words were split; see `split_words`."""

    def __init__(self, tokenizer: str = "whitespace"):
        self.parted = tokenizer == "simple" or tokenizer in PRE_TOKENIZERS
        self.pre_tokenizer = tokenizer if tokenizer in PRE_TOKENIZERS else None
        self.run: list[str] = []  # the words since the last space
        self.words: list[str] = []  # of the line so far
        self.quoted = False
        self.attached = True  # whether the next word follows without a space: at the beginning of a line

    def gap(self, word: str) -> str:
        """Takes the next word of the line and returns what stands before it: a space, or nothing."""
        if not self.parted:
            gap, self.attached = "" if self.attached else " ", False
            return gap
        attached = (self.attached or self._follows(word)) and self._stays_parted(word)
        self.attached = self._is_followed(word, attached)
        if word == '"':
            self.quoted = not self.quoted
        self.words = [*self.words[-1:], word]  # two are looked back at
        self.run = [*(self.run[1 - LOOKED_BACK_AT :] if attached else []), word]
        return "" if attached else " "

    def _follows(self, word: str) -> bool:
        """Whether a word has no space before it."""
        earlier, before = ["", "", *self.words][-2:]
        if word == '"':
            return self.quoted
        if word in APOSTROPHES:
            return _is_word(before) or before in CLOSING
        if before in APOSTROPHES and _is_word(earlier):
            return word.lower() in ENDINGS or word in CLOSING
        if self.pre_tokenizer == "digits" and before.isdigit() and word.isdigit():
            return True
        if before in POINTS and earlier.isdigit() and word.isdigit():
            return before != "," or len(word) == 3
        return word in CLOSING or (word in JOINING and _is_word(before))

    def _stays_parted(self, word: str) -> bool:
        """Whether a word is one again where it follows without a space; a sign may be none to a pre-tokeniser."""
        run = [*self.run, word]
        return self.pre_tokenizer is None or pre_tokenize("".join(run), self.pre_tokenizer) == run

    def _is_followed(self, word: str, attached: bool) -> bool:
        """Whether the word after this one has no space before it. attached: whether this one has none."""
        if word == '"':
            return not self.quoted
        if word in APOSTROPHES:
            return not self.words or not attached
        return word in OPENING or (word in JOINING and attached and bool(self.words))


def _is_word(text: str) -> bool:
    return len(text) > 1 or text == "_" or text.isalnum()
