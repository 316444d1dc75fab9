"""The formats that timelines are read in: one reader each, and what they share."""
