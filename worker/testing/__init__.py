"""A worker for other people's tests: fixtures for pytest, and what they are made of."""
