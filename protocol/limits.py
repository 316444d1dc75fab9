"""The numbers that bound what a peer may send. One place, so that README and code agree."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_TEXT_CHARS = 1024 * 1024
MAX_NESTING = 8
MAX_ELEMENTS = 4096
MAX_PROMPT_CHARS = 8192
MAX_ID_CHARS = 256
MAX_SEED = 2**24
MAX_REJECTIONS_IN_A_ROW = 20
