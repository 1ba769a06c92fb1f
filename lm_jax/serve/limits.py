"""How much one client may ask for, and how a request is refused."""

from typing import NamedTuple


class Limits(NamedTuple):
    """The most of a request.

    body: bytes. text: characters of a text. tokens: to generate. samples: continuations at a time. beam_size: of a
    search. waiting: requests that are being answered or wait. seconds: of one answer. sending: seconds of one
    request, until all of it is there.
    """

    body: int = 256 * 1024
    text: int = 20_000
    tokens: int = 2_000
    samples: int = 8
    beam_size: int = 10
    waiting: int = 32
    seconds: float = 60.0  # a map of gradients may have to be compiled first
    sending: float = 10.0


class Refusal(Exception):
    """A request that is not answered: an HTTP status, and one sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
