# Queries over the functions' logs. functions/lnn/runs/logs.py has the fields of every line, functions/lnn/runs/metrics.py the metrics.
# A metric is an array of one value in its line, so its field ends in ".0".
locals {
  log_groups = sort([for function in var.functions : function.log_group])

  queries = {
    "cost by epoch" = <<-EOT
      filter message = "epochs"
      | stats latest(Cost.0) as cost, latest(TrainAccuracy.0) as train_accuracy, latest(TestAccuracy.0) as test_accuracy, latest(BaseRate.0) as base_rate, latest(TrainRmse.0) as train_rmse, latest(TestRmse.0) as test_rmse, latest(EpochSeconds.0) as epoch_seconds by run_id, epoch
      | sort run_id desc, epoch asc
    EOT

    "duplicates refused" = <<-EOT
      filter message = "duplicate refused" or outcome in ["duplicate", "stale"] or standing = "stale"
      | stats count(*) as refused, latest(@timestamp) as last by run_id, function_name, state
      | sort refused desc
    EOT

    "errors by run" = <<-EOT
      filter level in ["ERROR", "CRITICAL"]
      | stats count(*) as errors, latest(message) as last_message, latest(exception_name) as last_exception, latest(@timestamp) as last by run_id, function_name
      | sort last desc
    EOT

    "slowest steps" = <<-EOT
      filter message in ["handled", "neuron done", "upload handled", "worker done"] and state != "watch"
      | fields @timestamp, elapsed_seconds, function_name, run_id, generation, state, epoch, layer, neuron
      | sort elapsed_seconds desc
      | limit 50
    EOT
  }
}
