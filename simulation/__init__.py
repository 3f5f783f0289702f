"""Simulated Sentinel-1/2 acquisitions of a made-up, physically based landscape.

In: a seed and a scenario. Out: training chips, worlds with known events, COGs and a static STAC catalogue.
Stops there: nothing here is real data, and nothing here talks to the pipeline except as a catalogue over HTTP.
"""
