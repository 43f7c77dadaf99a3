"""The lab on restricted Boltzmann machines."""
