"""The two compositions, box and hub: config, command line, service loop, discovery, health."""
