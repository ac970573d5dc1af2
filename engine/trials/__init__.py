"""Trials: one stream of orders played under several policies by the production machine, without a server, and what each policy costs."""
