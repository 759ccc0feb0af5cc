"""Measures of what a trained model gives, from arrays alone: no framework, no model."""
