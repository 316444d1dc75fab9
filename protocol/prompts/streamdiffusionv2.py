"""For StreamDiffusionV2 1.3B: what a camera's or clip's pictures are to become. The input has the
motion, so the prompts say who, in what style, and where."""

PROMPTS = (
    (
        "A marble statue of a person, white stone with grey veins, soft museum light, a plain dark wall "
        "behind."
    ),
    (
        "A person as a watercolour painting, loose washes of blue and ochre on rough paper, edges "
        "bleeding into white."
    ),
    (
        "A robot with a face of polished copper plates and round glass eyes, in a dim workshop full of "
        "brass tools."
    ),
    (
        "An anime character with short silver hair and a red scarf, clean outlines, flat colours, cherry "
        "blossoms drifting behind."
    ),
    (
        "A clay figure with fingerprints in its surface, on a small stage set of painted cardboard, warm "
        "studio light."
    ),
    (
        "An astronaut in a white helmet with a gold visor, stars and a blue planet outside the window of "
        "a space station."
    ),
    "A portrait in thick oil paint, heavy strokes, deep red and gold, candle light from the left.",
    "A person made of falling autumn leaves, orange and brown, in a misty forest at dawn.",
    (
        "A figure of clear ice lit in blue from within, frost on the surface, snowfall in the dark "
        "behind."
    ),
    (
        "A detective in a long coat in a black and white film, hard shadows of window blinds, smoke in "
        "the air."
    ),
    "A knitted wool doll with button eyes, every stitch visible, in a cosy room with a green lamp.",
    "A neon hologram of a person, cyan and magenta scan lines, a rainy city at night behind.",
)
