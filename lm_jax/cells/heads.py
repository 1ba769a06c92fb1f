"""Heads: a state of H numbers cut into parts of equal size, each with weights of its own."""

from lm_jax.errors import UserError, check_sizes


def head_size(input_size: int, hidden_size: int, heads: int) -> int:
    """Returns the size of a head, D = H / heads.

    Args:
        input_size: E; it is only checked.
        hidden_size: H.
        heads: The number of heads.

    Raises:
        UserError: For a size below 1, and for heads that do not divide H.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size, heads=heads)
    if hidden_size % heads:
        raise UserError(f"heads must divide hidden_size {hidden_size}, got {heads}", ["heads", "hidden_size"])
    return hidden_size // heads
