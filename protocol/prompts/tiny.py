"""For `tiny`: things of its own small world, which is all that it knows."""

PROMPTS = (
    "a red circle moving right over a night sky",
    "a blue square moving left over green hills",
    "a large yellow star pulsing over the sea",
    "a white ring circling over a sunset",
    "a small orange triangle rising over a meadow",
    "a purple ball bouncing around over a black background",
    "a cyan box falling over a checkerboard",
    "a green star flying fast to the right over a starry night",
    "a big golden donut drifting slowly left over the ocean",
    "a crimson disc that stays still in front of a striped wall",
    "a turquoise pyramid gliding upwards against the evening sky",
    "a violet hoop orbiting over a plain grey background",
)
