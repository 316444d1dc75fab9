"""Adapters: small changes of a model's weights, read as people have them, merged or kept live."""
