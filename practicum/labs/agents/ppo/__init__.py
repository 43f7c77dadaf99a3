"""Clipping lets PPO use each batch many times, and unnamed details matter too."""
