"""Three workers behind HAProxy, with the configuration that examples/cluster ships."""
