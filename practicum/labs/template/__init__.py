"""What `practicum new-lab` lays out: a small lab that runs, to be changed into another one."""
