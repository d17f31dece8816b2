"""Drivers of the road: learned in the dream, learned in the true simulator, or cloned; and how well they drive."""
