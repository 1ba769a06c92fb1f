"""Studies of language models: how good they are, and at what."""
