"""The engine inside Envoy: a process that starts Envoy and looks after it, and what Envoy runs."""
