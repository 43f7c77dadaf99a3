"""The verbs of the command line.

Exit codes: 0, done, whatever the verdict; 1, it did not finish or a check failed (interrupted, a
trial crashed, a self-test or a data check found a fault); 2, the command was wrong or something
outside is missing: the message says what, and nothing is lost.
"""
