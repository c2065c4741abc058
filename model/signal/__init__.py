"""What comes in: leads, recordings, the model's input specification, preprocessing and signal quality."""
