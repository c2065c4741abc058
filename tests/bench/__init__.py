"""The service beside its peers and beside onnxruntime alone: `make bench`."""
