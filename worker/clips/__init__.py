"""A stream into a file: requests for clips, their input and the files made."""
