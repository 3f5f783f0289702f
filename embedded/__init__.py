"""Everything on one machine: a broker, an archive and the services, under one supervisor and one data folder.

In: a data folder. Out: running processes. Stops before what the services do.
"""
