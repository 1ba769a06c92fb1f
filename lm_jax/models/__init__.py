"""Language models: one contract (language_model.py), one file a family. Empty, as counting n-grams needs no JAX."""
