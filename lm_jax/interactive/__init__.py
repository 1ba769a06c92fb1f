"""Training from a script or a notebook: settings as keywords, and progress where somebody watches."""
