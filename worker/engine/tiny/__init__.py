"""The small model for CPUs that is shipped with the package."""
