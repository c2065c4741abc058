"""What every stage runs on: the loop, checkpoints, devices, data parallelism, rates."""
