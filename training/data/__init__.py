"""Labelled ECGs on disk: cut into windows, written whole, read by split, and changed so that labels stay true."""
