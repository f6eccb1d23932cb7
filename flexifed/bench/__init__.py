"""The benchmark: what a round, an aggregation and a dry run cost on this machine, each candidate measured in turn.

`python -m flexifed bench` runs it (`run.py`). Candidates are the plain serial loop after the authors' script
(`plain.py`) and every engine in every precision it offers; each lives in a process of its own. Nothing here is a test,
and no test takes the time of anything.
"""
