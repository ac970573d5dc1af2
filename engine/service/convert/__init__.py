"""Between the contract's messages and the engine's words, one module a service: message -> command, reply -> response."""
