"""How much of a training text the devices hold at a time."""

from typing import Any

from lm_jax.data.batching import Batches
from lm_jax.data.pieces import PIECES
from lm_jax.errors import UserError
from lm_jax.training.epochs import tokens_that_fit


def device_tokens(settings: Any, text: Batches) -> int | None:
    """Returns how many tokens of the text lie on all devices together at a time, None for all of them.

    Args:
        settings: of the run; its `device_tokens` is for each device, None for what fits.
        text: the batches of the training text.

    Raises:
        UserError: for fewer tokens than the pieces need, and where all of the text would be there anyway.
    """
    rows = settings.devices // settings.vocab_shards
    asked, held = settings.device_tokens, len(text.tokens)
    if asked is None:
        return tokens_that_fit(held, rows)
    least = -(-PIECES * text.batch_size * text.longest_chunk // rows)
    if not least <= asked < held / rows:
        many = f" / {rows} devices" if rows > 1 else ""
        raise UserError(
            f"device_tokens must be at least {least:,} ({PIECES} chunks of every stream{many}) and below the text's "
            f"{held:,}{many}, got {asked:,}; leave it out where the text fits",
            ["device_tokens"],
        )
    return asked * rows
