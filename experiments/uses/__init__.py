"""Studies of what a language model can be used for."""
