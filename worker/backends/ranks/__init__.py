"""The processes of a stream on several devices."""
