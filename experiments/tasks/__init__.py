"""Studies of models that are no language models: classifiers, taggers, translators, recognisers of speech."""
