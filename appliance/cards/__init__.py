"""Cards written from the hub's page: the hub asks, a small privileged service writes."""
