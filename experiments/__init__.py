"""Studies, one question a script, sorted by question. `python experiments/FOLDER/NAME.py`; see README.md."""
