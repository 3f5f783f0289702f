"""What could be seen, and what could not.

In: what each acquisition showed, cell by cell. Out: counts per area, sensor and time. Stops before pixels (`encoders`).
"""
