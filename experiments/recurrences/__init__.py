"""Studies of recurrences, old and new: what each can keep in mind, what it cannot, and how fast it runs."""
