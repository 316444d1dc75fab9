"""What a browser is told about the page: nothing from elsewhere, nothing inline, in no frame."""

from __future__ import annotations


def page_headers(connect_to: str = "") -> dict[str, str]:
    """The headers of every answer that is a part of the page.

    Args:
        connect_to: an origin besides its own that the page may connect to.
    """
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": f"'self' {connect_to}".strip(),
        "img-src": "'self' blob:",
        "media-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(self), display-capture=(self), microphone=(), geolocation=()",
    }
