"""The wave head: what it learns from, how, and how well it finds P, QRS and T."""
