"""``stockpool bench``: load on a running server from processes of its own, with latencies that leave nothing out."""
