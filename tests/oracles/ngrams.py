"""Interpolated Kneser-Ney by dictionaries of strings, one probability at a time, from the equations."""

from collections import Counter, defaultdict


class KneserNey:
    """Chen & Goodman 1999, equations 26 to 28, over lines of words; <s> starts a line, </s> ends it."""

    def __init__(self, lines, order, words, modified=True, fallback=(0.5, 1.0, 1.5)):
        self.order, self.words = order, words
        counts = [Counter() for _ in range(order + 1)]
        for line in lines:
            padded = ["<s>", *line, "</s>"]
            for end in range(1, len(padded)):
                for k in range(1, order + 1):
                    if end - k + 1 >= 0:
                        counts[k][tuple(padded[end - k + 1 : end + 1])] += 1
        self.adjusted = {order: counts[order]}
        for k in range(1, order):
            before = defaultdict(set)
            for gram in counts[k + 1]:
                before[gram[1:]].add(gram[0])
            self.adjusted[k] = Counter(
                {gram: c if gram[0] == "<s>" else len(before[gram]) for gram, c in counts[k].items()}
            )
        self.discounts = {k: self._discounts(self.adjusted[k], modified, fallback) for k in range(1, order + 1)}
        self.followers = {k: defaultdict(dict) for k in range(1, order + 1)}
        for k, table in self.adjusted.items():
            for gram, c in table.items():
                self.followers[k][gram[:-1]][gram[-1]] = c

    @staticmethod
    def _discounts(table, modified, fallback):
        n = Counter(table.values())
        if not modified:
            d = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else fallback[0]
            return [0, d, d, d]
        if any(n[j] == 0 for j in (1, 2, 3, 4)):
            return [0, *fallback]
        y = n[1] / (n[1] + 2 * n[2])
        d = [0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))]
        return d if all(0 <= x <= j for j, x in enumerate(d)) else [0, *fallback]

    def prob(self, context, word):
        """P(word | context), the context a tuple of at most order - 1 words."""
        k = len(context) + 1
        lower = self.prob(context[1:], word) if context else 1 / len(self.words)
        row = self.followers[k].get(tuple(context))
        if not row:
            return lower
        d, total = self.discounts[k], sum(row.values())
        gamma = sum(d[min(c, 3)] for c in row.values()) / total
        c = row.get(word, 0)
        return (c - d[min(c, 3)]) / total + gamma * lower

    def line(self, line):
        """The probabilities of the words of a line and of its end."""
        padded = ["<s>", *line, "</s>"]
        return [self.prob(tuple(padded[max(0, i - self.order + 1) : i]), padded[i]) for i in range(1, len(padded))]
