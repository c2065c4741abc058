"""What goes out: statements, findings, waves, measurements and the classical second opinion."""
