"""Who is told, how, and what became of it.

In: alert messages, receivers. Out: deliveries. Stops before deciding what an alert is (`incidents`).
"""
