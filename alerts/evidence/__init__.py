"""Why an alert was raised: pictures, scores, bands, look-alikes, and the bundle that keeps them.

In: an alert, the stores, and the scenes where the catalogue still has them. Out: an explanation, a zip file, and what
goes along with messages (`artist`, `packer`). Stops before judging: verdicts are people's (`schemas.verdicts`).
"""

from alerts.evidence.enclosed import artist, packer

__all__ = ["artist", "packer"]
