"""Vision: networks that know that images are images."""
