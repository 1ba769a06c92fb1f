"""Studies of recurrences: how they run over time, and what decides it."""
