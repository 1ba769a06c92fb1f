"""Studies of gradients: how far back they reach, and what makes them vanish or explode."""
