"""The corpus of bad input, and what drives it to its end."""
