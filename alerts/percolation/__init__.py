"""New embeddings against all standing queries at once.

In: embedding batches, standing queries with their thresholds. Out: matches. Stops before what they mean together
(`incidents`).
"""
