"""The causal transformer, its attention, caches and what makes it fast."""
