"""The web page over HTTP: its files, their headers, and what it is told about this worker."""
