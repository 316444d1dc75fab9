"""The numbers that bound what a peer may send. One place, so that README and code agree."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_TEXT_CHARS = 1024 * 1024
MAX_NESTING = 8
MAX_TEXT_NESTING = 32
MAX_ELEMENTS = 4096
MAX_PROMPT_CHARS = 8192
MAX_BLENDED, MAX_WEIGHT = 8, 1_000_000
"""Texts that are shown at once, and what one of them may weigh."""
MAX_ID_CHARS = 256
MAX_SEED = 2**24
MAX_BLOCKS = 2**63 - 1
"""Of a stream, and of a block's number: what fits into the 64 bits that JSON readers give it."""
MIN_SIDE, MAX_SIDE = 64, 2048
"""Of the pictures that params ask for, in pixels."""
MAX_JPEG_SIDE = 65535
"""What a JPEG's header can say."""
MIN_FPS, MAX_FPS = 0.1, 1000
"""Of a paced stream: a slower one would hold a place and show nothing. 0 is no pace."""
MAX_PICTURE_PIXELS, MAX_PICTURE_SCANS = 40_000_000, 64
MAX_LIVE_PIXELS, MAX_LIVE_SCANS = 10_000_000, 16
MAX_REJECTIONS_IN_A_ROW = 20
MAX_HELD, MAX_PLANNED = 64, 256
"""Maps that wait for a later block: that came while it streams, and with the params."""
DEFAULT_BLOCKS = 20
"""Blocks of a stream whose params name no `num_blocks`."""
MAX_ADAPTERS = 32
"""That a map may give strengths of."""
MAX_RETRY_AFTER = 86_400
"""Seconds; what says more is not heeded."""
