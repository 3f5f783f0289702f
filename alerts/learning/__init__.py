"""What a standing query learns from people: examples, and answers to its alerts.

In: verdicts, example chips, the archive's vectors. Out: the query's vectors, moved a little from its sentence. Stops
before thresholds (`budgets`), which are computed anew for them.
"""
