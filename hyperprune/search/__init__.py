"""Search: the space, what is known of it, and the plan of rounds."""
