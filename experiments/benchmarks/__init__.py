"""Studies of time and memory, beside other software."""
