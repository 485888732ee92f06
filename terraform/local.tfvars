# The local cloud: all that differs from AWS, besides AWS_ENDPOINT_URL.

# The emulator's LAMBDA_ACCOUNT_CONCURRENCY.
account_concurrency = 32

# Those of most machines: `make up` gives the machine's own.
architecture = "x86_64"
runtime      = "python3.11"

# The Redis beside the emulator, in plain text; `make up` gives its port.
cache = {
  transit_encryption = false
}
cache_port = 6399

layer_zip = "../build/layers/numpy-h5py-local.zip"

# The emulator speaks plain HTTP.
require_tls = false

# Log lines cost nothing here, so each neuron logs its work.
log_level = "DEBUG"

# All workers share the machine's cores: more than two would wait for each other.
max_workers = 2

# Only this machine reaches it.
prediction_access = "public"
functions         = { predict = { reserved_concurrency = 16 } }

# A worker process for each neuron of a step would swamp a small machine.
neuron_window = 4

# The emulator cannot save queries.
saved_queries = false
