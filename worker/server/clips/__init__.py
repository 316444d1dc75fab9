"""The clip endpoints over HTTP."""
