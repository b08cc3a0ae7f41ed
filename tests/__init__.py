"""kaa's tests mirror the source tree: `src/kaa/<room>/<module>.py` is tested by `tests/<room>/test_<module>.py`."""
