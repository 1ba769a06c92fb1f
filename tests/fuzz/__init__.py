"""Files of others with seeded damage: every reader returns, or says in one line what is wrong."""
