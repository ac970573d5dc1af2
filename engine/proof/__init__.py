"""How the promise is checked: a twin that judges by the book, and faults on purpose. Nothing that serves imports it."""
