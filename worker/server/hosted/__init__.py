"""The page in front of fal's hosted endpoint: tokens are minted here, browsers stream from fal."""
