"""NeuronLambda: one neuron of one layer, forward or backward."""
