"""The programs that LNN is compared with: each module trains a job in one process and prints JSON.

They share no code with LNN but the reader of HDF5 files. They read the dataset, and an .npz with the starting weights
(W1, b1, ...) and, for mini-batches, the order of the examples in each epoch, so that all reach the same costs.
"""
