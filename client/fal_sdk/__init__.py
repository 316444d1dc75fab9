"""fal's own Python client, pointed at a worker.

`fal_client` has variables for the hosts of runs and queue only, and speaks TLS to both. The URLs of
tokens and uploads are constants of its module; they are set here.
"""

from .point_at import point_at, pointed_at

__all__ = ["point_at", "pointed_at"]
