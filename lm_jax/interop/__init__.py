"""Other programs' files. Every part is optional: only the command line and scripts import this package."""
