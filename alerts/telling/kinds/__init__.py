"""The ways of telling somebody: one module each, listed in `registry`.

In: settings of a receiver, what is told. Out: an alert told, or why not. Stops before deciding who is told, and when.
"""
