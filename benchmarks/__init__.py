"""Speed and memory, as ratios against what people would otherwise write or install.

A benchmark is a module with `run(*, repeats, quick, ...) -> Result` (`measure.py` says how
contenders are measured), or one that is a program of its own and leaves `results/<name>.json`
(`harness.py`). `python -m benchmarks` runs them and fills the tables of docs/benchmarks.md.
"""
