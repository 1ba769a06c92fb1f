"""The letters for axes that every docstring of this package uses, and the array types named with them.

T  time (always axis 0)          E  size of an input or an embedding
B  batch (any leading axes)      H  size of a hidden state
V  vocabulary                    L  layers
S  source length                 K  beams
"""

from typing import Any

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


Params = Any  # a pytree of arrays: what training changes
Carry = Any  # a pytree of arrays, each starting with the batch axes: what a step hands to the next
Key = PRNGKeyArray  # made by jax.random.key
Tokens = Int[Array, "T *B"]
TextIds = Any  # ids of texts on the host, [T] or [T, B]: an array of either library, or lists
Logits = Float[Array, "T *B V"]
LogProbs = Float[Array, "T *B"]
Mask = Bool[Array, "T *B"]
