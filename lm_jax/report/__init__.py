"""What people look at: figures, tables and the lines of a terminal."""
