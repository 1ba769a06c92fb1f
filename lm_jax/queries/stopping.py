"""The end of a text that streams, at the first of some texts to stop at."""

from collections.abc import Sequence


class Stopping:
    """Takes the pieces of a text and gives them on, but for what may be the beginning of a text to stop at.

    stopped: whether one of them was met; nothing is given from there on.
    """

    def __init__(self, stops: Sequence[str]):
        self.stops, self.stopped = tuple(stops), False
        self._held = ""

    def take(self, piece: str, last: bool = False) -> str:
        """Returns what can be given on after a further piece.

        Args:
            piece: What comes next.
            last: Whether nothing comes after it.
        """
        if self.stopped:
            return ""
        text = self._held + piece
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        held = 0 if last else max((self._beginning(text, stop) for stop in self.stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    @staticmethod
    def _beginning(text, stop):
        """The length of the longest end of the text that the stop begins with."""
        return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
