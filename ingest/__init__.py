"""Catalogues become acquisitions.

Flows in: STAC APIs and static catalogues. Flows out: rows of the ledger and messages on Kafka. Stops before pixels.
"""
