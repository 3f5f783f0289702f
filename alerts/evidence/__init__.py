"""Why an alert was raised: pictures, scores, bands, look-alikes.

In: an alert, the stores, and the scenes where the catalogue still has them. Out: an explanation. Stops before judging:
verdicts are people's (`schemas.verdicts`).
"""
