"""The text of long_distance.py: stories that mention a noun twice, and sentences."""

import random

from experiments.harness.sentences import write_corpus


PEOPLE = (("anna", "her"), ("mary", "her"), ("paul", "his"), ("john", "his"))
KNOWN = ("tickets", "letters", "keys", "books", "cards", "maps")
NEW = ("plans", "rings", "boxes", "notes")
HAPPENED = ("printer failed", "office closed", "train stopped", "driver waited", "bridge burned", "teacher laughed")
PLACES = ("in town", "at home", "near london", "by night")
QUALITIES = ("old", "new", "small", "red", "cheap", "heavy")
CLOSING = 3  # words of "then printed her"
TRAINED = (3, *(n for n in range(6, 30) if n % 5))
ASKED = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
FAR = tuple(n for n in ASKED if n > max(TRAINED))
CHANCE = 1 / len(KNOWN + NEW)


def filler(words, rng):
    """Exactly so many words that say little, in phrases of two to six."""
    text = []
    while len(text) < words:
        left = words - len(text)
        size = rng.choice([s for s in (2, 3, 4, 5, 6) if s == left or s <= left - 2])
        place = rng.choice(PLACES).split() if size in (5, 6) else []
        again = ["again"] if size in (4, 6) else []
        start = ["it", "rained"] if size == 2 else ["the", *rng.choice(HAPPENED).split()]
        text += [*start, *again, *place]
    return text


def story(noun, distance, rng):
    """The noun twice, `distance` words between."""
    name, their = rng.choice(PEOPLE)
    start = [name, "tried", "to", "print", their, noun]
    return [*start, *filler(distance - CLOSING, rng), "then", "printed", their, noun]


def sentence(rng):
    """What the corpus says of any noun outside stories."""
    name, their = rng.choice(PEOPLE)
    noun = rng.choice(KNOWN + NEW)
    return rng.choice(
        [
            ["the", noun, "were", rng.choice(QUALITIES)],
            [name, "lost", their, noun, *rng.choice(PLACES).split()],
            [name, "wanted", "the", noun, "and", "bought", "the", noun],
        ]
    )


def write_stories(folder, lines, seed):
    """Training, validation and test text: three quarters stories, the short ones more often, and sentences."""
    rng = random.Random(seed)
    weights = [1 / n**2 for n in TRAINED]

    def draw(k):
        return story(rng.choice(KNOWN), rng.choices(TRAINED, weights)[0], rng) if k % 4 else sentence(rng)

    write_corpus(folder, lines, draw)
