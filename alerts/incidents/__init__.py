"""What belongs together in space and time, and what becomes of it.

In: matches. Out: incidents with their lives, and the alert messages that tell them. Stops before receivers (`telling`).
"""
