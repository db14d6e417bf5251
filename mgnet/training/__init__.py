"""What the trainings of all packages share: steps, checkpoints, processes, runs, and the one loop.

mgnet.training.loop says what a task has to bring; a classifier's is in mgnet.vision.training.
"""
