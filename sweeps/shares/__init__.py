"""`resources: {gpu: auto}`: how many trials share a GPU, measured for each arm and decided once."""
