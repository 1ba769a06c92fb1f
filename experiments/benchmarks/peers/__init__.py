"""The contenders of `speed.py`: the same work by lm_jax, by flax, by torch, and as matrix products alone."""
