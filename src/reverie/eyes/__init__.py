"""What is read from the pictures of a car's cameras: who is there, where our car is on its lane, how it moves.

Pixels go in and nothing else; none of it knows who made them. It was trained, and its few numbers were set, on
pictures of towns of the training split, where the truth is known.
"""
