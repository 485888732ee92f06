# The local cloud: besides AWS_ENDPOINT_URL, all that differs from AWS.

# The machine's own: give -var architecture=arm64 or another runtime where it differs.
architecture = "x86_64"
runtime      = "python3.11"

# The Redis beside the emulator: plain text, on a port of its own (give -var for another).
cache = {
  transit_encryption = false
}
cache_port = 6399

layer_zip = "../build/layers/numpy-h5py-local.zip"

# The emulator speaks plain HTTP.
require_tls = false

# Nobody pays for lines here: each neuron tells what it did.
log_level = "DEBUG"

# All workers share the machine's cores: more than a few would wait for each other.
max_workers = 2

# Nobody but this machine reaches it.
prediction_access = "public"
functions         = { predict = { reserved_concurrency = 16 } }

# A worker process for each neuron of a step would swamp a small machine.
neuron_window = 4

# The emulator does not save queries.
saved_queries = false
