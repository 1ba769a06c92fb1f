"""The second face beside the command line: a local page and an HTTP interface, over `lm_jax.queries` alone.

Needs the extra "serve". What it answers, and how: lm_jax/serve/README.md.
"""
