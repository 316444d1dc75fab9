"""`--speed`: a few switches at once, each proven on this machine before it is used."""
