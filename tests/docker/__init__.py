"""Tests of what surrounds the service: images, compose, Prometheus and Grafana."""
