"""The networks of zoo.py in each framework."""
