"""From new embeddings and standing queries to alerts that somebody gets.

In: embedding batches, standing queries, the archive's history. Out: matches, incidents, alerts, deliveries.
Stops before pixels (`encoders`) and before search (`archive`).
"""
