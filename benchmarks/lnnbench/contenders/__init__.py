"""What LNN is compared with: each module is a program that trains a job in one process and prints JSON.

None of them shares code with LNN. They read the dataset, and an .npz with starting weights (W1, b1, ...) and, for
mini-batches, the order of the examples in each epoch, so that all come to the same costs.
"""
