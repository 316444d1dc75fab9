"""TLS with a certificate of this machine's own, and what makes its programs trust it."""
