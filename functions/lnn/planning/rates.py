"""How fast a cloud is: every constant of the cost model that depends on the machine, each with its source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast a cloud is. Measured: 2026-11-21 on one core of an Intel Xeon at 2.50 GHz, numpy 2.4 with OpenBLAS."""

    # Computing, each vCPU
    flops_float64: float = 1.0e10
    """Estimate: half of the 20 GFLOP/s that a Graviton2 core can reach (2.5 GHz, two 128-bit FMA units, Arm's
    Neoverse N1 optimization guide). Measured on the Xeon: 2.5e10."""
    flops_float32: float = 2.0e10
    """Estimate: twice as many values in each vector. Measured on the Xeon: 5e10."""
    memory_bytes: float = 4.8e9
    """Bytes/s that a product with few rows streams of a large matrix. Measured on the Xeon; estimate for Lambda."""
    elementwise_bytes: float = 1.0e10
    """Bytes/s that numpy's elementwise operations read and write, temporaries included. Measured: 7 to 14e9."""
    standardize_seconds: float = 1.2e-9
    """For one stored value to become one of the network's. Measured."""
    layer_seconds: float = 3.5e-5
    """Python and numpy's calls for one layer in one update, whatever its size. Measured."""
    dropout_seconds: float = 1.5e-8
    """For one output of a layer with dropout: to draw whether it stays, and to scale it and its delta. Measured."""
    row_seconds: float = 4e-5
    """A row of the history, written beside the training by another thread of the same interpreter. Measured."""

    # Talking
    round_trip_seconds: float = 6e-4
    """Function to cache and back: 0.3 to 0.5 ms in one zone (unconfirmed), and redis-py's own time."""
    command_seconds: float = 2e-6
    """Redis' own time for a pipelined command. Estimate: half a million a second (redis.io, "Redis benchmark")."""
    client_command_seconds: float = 1.5e-5
    """redis-py's time to send a pipelined command and read its answer. Measured."""
    cache_bytes: float = 1.5e8
    """Bytes/s in or out of the cache. Estimate: a cache.t4g.micro has 5 Gbit/s in bursts, far less for hours."""
    function_bytes: float = 7.5e7
    """Bytes/s in or out of one function in a VPC. Estimate: about 600 Mbit/s."""
    s3_bytes: float = 6.0e7
    """Bytes/s between one function and S3, one object after the other. Estimate."""
    upload_bytes: float = 5.0e6
    """Bytes/s from the user to S3. Estimate: a line with 40 Mbit/s upwards."""

    # Invocations
    invocation_seconds: float = 0.03
    """One asynchronous invocation of a warm function, from the call to the handler. Estimate."""
    handler_seconds: float = 0.0076
    """A neuron's handler without its arithmetic and its round trips: parsing, Python. Estimate."""
    step_seconds: float = 0.08
    """From the last neuron of a step to the calls of the next: an invocation of the Trainer and its work. Estimate."""
    step_busy_seconds: float = 0.05
    """The part of it in which the Trainer is paid for. Estimate."""
    parallel_neurons: int = 8
    """Neurons of a step that make progress at the same time: the Trainer calls them four at a time. Estimate."""
    cold_start_seconds: float = 3.0
    """A function's first start: layer, network interface, imports. Estimate."""
    launch_seconds: float = 2.0
    """From the end of the upload to the Trainer's call: S3's event, checks, initial weights. Estimate."""
    end_seconds: float = 1.0
    """Checkpoint, model, results and the ledger's last entries, for a small model. Estimate."""

    cores: float | None = None
    """Cores that all functions share; None where every function has its own."""

    def flops(self, dtype: str) -> float:
        """Floating-point operations a second of one vCPU."""
        return self.flops_float32 if dtype == "float32" else self.flops_float64


AWS = Rates()


def local(cores: int) -> Rates:
    """A machine that runs emulator, Redis and all functions. Measured on two cores of the Xeon, but for the cores."""
    return Rates(
        flops_float64=2.5e10,
        flops_float32=5.0e10,
        round_trip_seconds=3e-4,
        cache_bytes=1e9,
        function_bytes=1e9,
        s3_bytes=5e7,
        upload_bytes=5e7,
        invocation_seconds=0.007,
        handler_seconds=0.0028,
        step_seconds=0.03,
        step_busy_seconds=0.01,
        parallel_neurons=cores,
        cold_start_seconds=0.0,
        launch_seconds=1.5,
        end_seconds=0.5,
        cores=cores,
    )
