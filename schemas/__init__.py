"""What every service shares: messages, topics, errors, the cell grid, tables and settings.

In: nothing. Out: the words that services use with each other. Stops before any service's own work.
"""
