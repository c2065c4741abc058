"""Rules of few coefficients, fitted: which lead holds a heart, which record is good enough."""
