"""From words to prompt embeds: UMT5 and its weights."""
