"""For Self-Forcing 1.3B: one clear subject with one steady motion, simply lit."""

PROMPTS = (
    (
        "A corgi runs along a sandy beach towards the camera, ears flapping, small waves behind it, "
        "bright midday sun; the camera moves backwards ahead of it."
    ),
    (
        "A sailing boat with white sails crosses a calm blue bay from left to right, green hills in the "
        "distance, clear morning light; a steady wide shot."
    ),
    (
        "A hot air balloon with red and yellow stripes floats over misty fields at sunrise; the camera "
        "drifts alongside at the same height."
    ),
    (
        "A steam train winds through autumn woods of orange and gold, white smoke trailing behind; seen "
        "from the air, the camera keeps pace."
    ),
    (
        "A cup of black coffee on a wooden table by a window, steam curling upwards, rain on the glass "
        "behind; a close, still shot."
    ),
    (
        "A cyclist in a blue jersey rides along a coastal road, the sea glittering below, long shadows of "
        "evening; the camera follows from behind."
    ),
    (
        "A jellyfish pulses through dark water, its bell glowing pale pink, long tentacles trailing; the "
        "camera slowly rises with it."
    ),
    (
        "A field of sunflowers sways in the wind under big white clouds, summer light; the camera glides "
        "forward just above the flowers."
    ),
    (
        "A white owl flies slowly through a snowy forest, wings beating without haste, flakes falling; "
        "the camera flies beside it."
    ),
    (
        "A campfire burns on a lake shore at night, sparks rising, the flames mirrored in still water; a "
        "fixed shot at ground level."
    ),
    (
        "A panda sits in a bamboo grove and chews on a green stalk, leaves moving in a light breeze; a "
        "medium shot, the camera almost still."
    ),
    (
        "A small robot of brushed steel rolls down a long bright corridor, its blue eyes blinking; the "
        "camera tracks in front of it."
    ),
)
