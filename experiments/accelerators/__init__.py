"""What `python experiments/accelerator.py` runs: cases of "right?", cases of "fast?", ceilings, and their report."""
