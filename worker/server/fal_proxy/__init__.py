"""The place of the proxy that fal's JavaScript client can be told to send its requests through."""
