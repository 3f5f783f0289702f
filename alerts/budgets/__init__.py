"""How many alarms somebody can bear, as thresholds on scores.

In: standing queries, the archive's history. Out: thresholds, and how often each score is to be expected. Stops before
comparing anything new with them (`percolation`).
"""
