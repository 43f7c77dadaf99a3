"""Speed and memory against peers, as ratios of interleaved runs; never asserted in tests."""
