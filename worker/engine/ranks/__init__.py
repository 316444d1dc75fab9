"""One stream on several devices: tokens shared out, heads of the KV cache where they lie."""
