"""Studies of models that are no language models: classifiers, taggers, translators."""
