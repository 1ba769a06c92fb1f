"""`python -m lm_jax`: the command `lm-jax`, where it is not on the path."""

from lm_jax.cli.main import main


main()
