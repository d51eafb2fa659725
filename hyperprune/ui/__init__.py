"""What a person sees of a run: observers of its events, and tables of what it left."""
