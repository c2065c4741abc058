"""Serves a bundle over HTTP, and the command `ecg`."""
