"""Files that callers hand in: fal's storage as its SDKs call it, in a bounded store on disk."""
