"""The command `lm-jax`: one thin file a verb."""
