"""Figures, tables, and files and lines for people."""
