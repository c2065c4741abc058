"""ECG-JEPA: an encoder that learns without labels, and what can be read off it."""
