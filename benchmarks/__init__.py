"""Measurements: `make bench` runs them all, `python -m benchmarks start_up solve` some.

Every figure stands beside a peer's, measured in turn with it (A B A B …) in the same run; what counts is the ratio. CPU
time (user + system, children included) is the first figure because it drifts least on a shared machine.
"""
