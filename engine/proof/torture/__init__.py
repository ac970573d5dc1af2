"""Real crashes: a real server, many real clients, and SIGKILL at any moment. What was told must be true whatever happened.

``run.torture`` is the whole of it: it starts ``stockpool serve`` on an empty journal, lets clients reserve, order, ship and sell, strikes
(``blows``), starts the server again, and goes on. In the end it holds the journal against what the clients were told (``verdict``).
"""
