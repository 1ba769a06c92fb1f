"""Spaces between words that were parted from their punctuation: "don ' t ( now ) !" reads "don't (now)!".

White space is lost where words are "simple", so this is a guess by the habits of English text. Only signs are put to
words, never a word to a word, so that the text splits into the same words again.
"""

CLOSING = frozenset(".,;:!?)]}%…»”")  # signs that follow a word without a space
OPENING = frozenset("([{$£€#@«“¿¡")  # signs that a word follows without a space
POINTS = frozenset(".,:")  # signs inside a number
APOSTROPHES = frozenset("'’")
JOINING = frozenset("-—/")  # signs without a space on either side
ENDINGS = frozenset("s t m d re ve ll em am all".split())  # of a word with an apostrophe: it's, don't, I'm, they'll


class Spacing:
    """The spaces of one line, word by word. tokenizer: how words were split; see `split_words`."""

    def __init__(self, tokenizer: str = "whitespace"):
        self.simple = tokenizer == "simple"
        self.words: list[str] = []  # of the line so far
        self.quoted = False
        self.attached = True  # whether the next word follows without a space: at the beginning of a line

    def gap(self, word: str) -> str:
        """Takes the next word of the line and returns what stands before it: a space, or nothing."""
        if not self.simple:
            gap, self.attached = "" if self.attached else " ", False
            return gap
        attached = self.attached or self._follows(word)
        self.attached = self._is_followed(word, attached)
        if word == '"':
            self.quoted = not self.quoted
        self.words = [*self.words[-1:], word]  # two are looked back at
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
        if before in POINTS and earlier.isdigit() and word.isdigit():
            return before != "," or len(word) == 3
        return word in CLOSING or (word in JOINING and _is_word(before))

    def _is_followed(self, word: str, attached: bool) -> bool:
        """Whether the word after this one has no space before it. attached: whether this one has none."""
        if word == '"':
            return not self.quoted
        if word in APOSTROPHES:
            return not self.words or not attached
        return word in OPENING or (word in JOINING and attached and bool(self.words))


def _is_word(text: str) -> bool:
    return len(text) > 1 or text == "_" or text.isalnum()
