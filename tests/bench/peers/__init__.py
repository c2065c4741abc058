"""The same work behind other servers, each run by the Python of its own environment."""
