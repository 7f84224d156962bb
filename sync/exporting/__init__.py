"""Writing a stick: what should stand on it, what does, writing the rest, and proving that it can be read back."""
