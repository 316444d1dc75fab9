"""Steering by hand while `framewire stream` runs: lines that are typed, and what they do."""
