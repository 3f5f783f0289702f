"""What each `tocsin` command does: one module a noun.

In: arguments of the command line. Out: a table for people, or one JSON document for programs. Stops before the
work itself: that is the packages'. Heavy libraries are imported inside the command that works with them.
"""
