"""For the test card: colours, shapes and directions by their words."""

PROMPTS = (
    "a gold circle moving right over the sea at dusk",
    "a white triangle moving up through a storm",
    "a cyan square moving left over a navy night",
    "a red circle moving down into the desert",
    "a purple triangle moving right at sunrise",
    "an orange square moving up in a green forest",
    "a blue circle moving left across the snow",
    "a yellow triangle moving down in purple rain",
    "a pink square moving right over a teal ocean",
    "a green circle moving up at night",
    "a silver triangle moving left through fog",
    "a magenta circle moving right at dawn",
)
