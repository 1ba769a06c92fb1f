"""Runs that are killed at chosen moments and resumed."""
