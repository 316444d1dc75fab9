"""What has to be set for fal's SDKs to call this worker instead of fal."""
