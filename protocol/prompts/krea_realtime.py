"""For Krea Realtime 14B: whole scenes with light and material, which go on without an end."""

PROMPTS = (
    (
        "A red fox trots through fresh snow between birch trunks at sunrise, its breath steaming in low "
        "golden light; powder flies from its paws; the camera glides beside it at knee height in one "
        "unbroken take."
    ),
    (
        "An old lighthouse of white stone stands on black cliffs while long waves roll in and burst into "
        "spray, dusk sky in violet and amber, its beam turning steadily; the camera circles slowly from "
        "the air."
    ),
    (
        "A night train window seen from inside: rain runs down the glass, neon signs of a city slide past "
        "as soft blurs of magenta and green, a paper cup trembles on the sill; the camera stays still."
    ),
    (
        "A potter's hands shape a tall vase on a turning wheel, wet grey clay rising and thinning between "
        "the fingers, warm lamp light and dust in the air; a close shot that drifts slowly to the left."
    ),
    (
        "A glass greenhouse overgrown with ferns and orange lilies, mist sinking from the roof, "
        "butterflies crossing beams of morning light; the camera walks forward along the brick path."
    ),
    (
        "An astronaut in a scuffed white suit wades through a shallow turquoise lagoon on an alien "
        "planet, two moons low over pale dunes, ripples spreading out; a tracking shot from the side."
    ),
    (
        "A wooden fishing boat rocks on a calm sea at blue hour, a lantern swinging from its mast, gulls "
        "passing overhead, distant lights along the coast; the camera rises and falls with the water."
    ),
    (
        "Macro view of a copper clockwork beetle walking over moss, gears turning under its shell, "
        "dewdrops trembling as it passes; shallow focus, the camera creeps along at its pace."
    ),
    (
        "A dancer in a long red dress spins slowly on an empty theatre stage, the cloth lifting in "
        "spirals, a single white spotlight full of dust; the camera orbits her at a steady distance."
    ),
    (
        "A narrow canyon of banded orange sandstone, sand pouring in thin curtains from the ledges, a "
        "ribbon of blue sky above; the camera flies forward smoothly between the walls."
    ),
    (
        "An oil painting that moves: a harbour town at noon in thick strokes of ochre and blue, sails "
        "swelling, people strolling on the quay, clouds drifting; a slow pan to the right."
    ),
    (
        "A street market in a warm rain at night, steam rising from food stalls, umbrellas passing, "
        "lanterns mirrored in the wet pavement; the camera follows a woman in a yellow coat."
    ),
)
