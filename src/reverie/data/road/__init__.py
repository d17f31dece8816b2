"""The road: traffic simulated by SUMO, seen from a car with several cameras through MuJoCo."""
