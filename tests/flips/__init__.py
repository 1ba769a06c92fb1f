"""Runs in whose files single bits are flipped."""
