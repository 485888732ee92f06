# The dashboard, from the training at the top to the machinery at the bottom. A row shares its width among its widgets.
locals {
  run_pattern = "RUN_ID"

  # CloudWatch replaces the pattern, wherever it is in the widgets, with what a person types.
  run_variable = {
    defaultValue = "."
    id           = "run"
    inputType    = "input"
    label        = "Run of the tables at the bottom (. is every run)"
    pattern      = local.run_pattern
    type         = "pattern"
    visible      = true
  }

  own          = { for metric in ["ActiveRuns", "BalancedAccuracy", "BaseRate", "CompletedRuns", "Cost", "Dollars", "EpochSeconds", "Epochs", "FailedRuns", "Invocations", "LowestRecall", "StalledRuns", "StoppedRuns", "SynchronisationSeconds", "TestAccuracy", "TestRmse", "TrainAccuracy", "TrainRmse"] : metric => [local.namespace, metric, "service", var.prefix] }
  of_functions = { for metric in ["ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"] : metric => { for role, function in var.functions : role => ["AWS/Lambda", metric, "FunctionName", function.name] } }
  of_cache     = { for metric in ["DatabaseMemoryUsagePercentage", "EngineCPUUtilization", "CPUUtilization"] : metric => { for node in local.cache_nodes : node => ["AWS/ElastiCache", metric, "CacheClusterId", node] } }

  sources = join(" | ", [for group in local.log_groups : "SOURCE '${group}'"])
  of_run  = "filter run_id like /${local.run_pattern}/"

  introduction = <<-EOT
    ## Trainings of `${var.prefix}`
    A training's figures come once a minute at most, its first ones when it ends or after some seconds. One run: `lnn watch RUN`, `lnn show RUN`, `lnn logs RUN --follow`. What each graph means, and what to do about an alarm: docs/cloudwatch.md.
  EOT

  rows = [
    { height = 3, widgets = [{ type = "text", properties = { markdown = local.introduction } }] },
    { height = 2, widgets = [{ type = "alarm", properties = { alarms = local.alarm_arns, title = "Alarms" } }] },
    { height = 7, widgets = [
      { type = "metric", properties = {
        title = "Cost", metrics = [concat(local.own.Cost, [{ label = "cost", stat = "Average" }])], yAxis = { left = { showUnits = false } }
      } },
      { type = "metric", properties = {
        title = "Accuracy (%)", yAxis = { left = { max = 100, min = 0, showUnits = false } }
        metrics = [
          concat(local.own.TrainAccuracy, [{ label = "training examples", stat = "Average" }]),
          concat(local.own.TestAccuracy, [{ label = "test examples", stat = "Average" }]),
          concat(local.own.BaseRate, [{ color = "#7f7f7f", label = "base rate of the test: always the most frequent class", stat = "Average" }]),
          concat(local.own.BalancedAccuracy, [{ label = "balanced accuracy of the test, at a run's end", stat = "Average" }]),
          concat(local.own.LowestRecall, [{ label = "lowest recall of a class, at a run's end", stat = "Minimum" }]),
        ]
      } },
      { type = "metric", properties = {
        title = "Error of regressions (RMSE)", yAxis = { left = { min = 0, showUnits = false } }
        metrics = [
          concat(local.own.TrainRmse, [{ label = "training examples", stat = "Average" }]),
          concat(local.own.TestRmse, [{ label = "test examples", stat = "Average" }]),
        ]
      } },
      { type = "metric", properties = {
        title = "Pace (epochs a second)", yAxis = { left = { min = 0, showUnits = false } }
        metrics = [
          concat(local.own.Epochs, [{ id = "epochs", stat = "Sum", visible = false }]),
          [{ expression = "epochs / PERIOD(epochs)", id = "pace", label = "epochs a second, mean of the minute" }],
        ]
      } },
    ] },
    { height = 6, widgets = [
      { type = "metric", properties = {
        title = "An epoch (s), and waiting in it", yAxis = { left = { min = 0, showUnits = false } }
        metrics = [
          concat(local.own.EpochSeconds, [{ label = "mean", stat = "Average" }]),
          concat(local.own.EpochSeconds, [{ label = "slowest", stat = "Maximum" }]),
          concat(local.own.SynchronisationSeconds, [{ label = "workers waiting for each other, mean", stat = "Average" }]),
        ]
      } },
      { type = "metric", properties = {
        title = "Runs", yAxis = { left = { min = 0, showUnits = false } }
        metrics = [
          concat(local.own.ActiveRuns, [{ label = "going", stat = "Maximum" }]),
          concat(local.own.StalledRuns, [{ color = "#d62728", label = "going, but nobody at work", stat = "Maximum" }]),
          concat(local.own.CompletedRuns, [{ color = "#2ca02c", label = "completed", stat = "Sum" }]),
          concat(local.own.StoppedRuns, [{ label = "stopped", stat = "Sum" }]),
          concat(local.own.FailedRuns, [{ color = "#ff7f0e", label = "failed", stat = "Sum" }]),
        ]
      } },
      { type = "metric", properties = {
        title = "Used by runs that ended, by the hour", period = 3600, yAxis = { left = { min = 0, showUnits = false }, right = { min = 0, showUnits = false } }
        metrics = [
          concat(local.own.Dollars, [{ label = "US dollars (left)", stat = "Sum" }]),
          concat(local.own.Invocations, [{ label = "invocations (right)", stat = "Sum", yAxis = "right" }]),
        ]
      } },
    ] },
    { height = 6, widgets = [
      { type = "metric", properties = { title = "Invocations", metrics = [for role, metric in local.of_functions.Invocations : concat(metric, [{ label = role, stat = "Sum" }])] } },
      { type = "metric", properties = { title = "Errors", metrics = [for role, metric in local.of_functions.Errors : concat(metric, [{ label = role, stat = "Sum" }])] } },
      { type = "metric", properties = { title = "Throttles", metrics = [for role, metric in local.of_functions.Throttles : concat(metric, [{ label = role, stat = "Sum" }])] } },
      { type = "metric", properties = { title = "At once", metrics = [for role, metric in local.of_functions.ConcurrentExecutions : concat(metric, [{ label = role, stat = "Maximum" }])] } },
    ] },
    { height = 6, widgets = [
      { type = "metric", properties = { title = "Cache memory (%)", metrics = [for node, metric in local.of_cache.DatabaseMemoryUsagePercentage : concat(metric, [{ label = node, stat = "Maximum" }])],
        annotations = { horizontal = [{ label = "alarm", value = var.thresholds.cache_memory_percent }] }, yAxis = { left = { max = 100, min = 0, showUnits = false } }
      } },
      { type = "metric", properties = { title = "Cache CPU (%)", yAxis = { left = { max = 100, min = 0, showUnits = false } }
        metrics = concat(
          [for node, metric in local.of_cache.EngineCPUUtilization : concat(metric, [{ label = "${node}, engine", stat = "Maximum" }])],
          [for node, metric in local.of_cache.CPUUtilization : concat(metric, [{ label = "${node}, node", stat = "Maximum" }])],
        )
      } },
      { type = "metric", properties = { title = "Duration (ms)", metrics = [for role, metric in local.of_functions.Duration : concat(metric, [{ label = role, stat = "p95" }])] } },
      { type = "metric", properties = { title = "Dead letters", yAxis = { left = { min = 0, showUnits = false } }
        metrics = [for role, function in var.functions : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", function.queue, { label = role, stat = "Maximum" }]]
      } },
    ] },
    { height = 8, widgets = [
      { type = "log", properties = { title = "Cost by epoch", view = "table", query = "${local.sources} | ${local.of_run} | ${local.queries["cost by epoch"]}" } },
      { type = "log", properties = { title = "Runs that ended", view = "table", query = "${local.sources} | ${local.of_run} | filter message = \"run ended\" and ispresent(Dollars.0) | fields @timestamp, run_id, status, strategy, epoch, BalancedAccuracy.0 as balanced_accuracy, LowestRecall.0 as lowest_recall, Dollars.0 as dollars, Invocations.0 as invocations | sort @timestamp desc" } },
    ] },
    { height = 8, widgets = [
      { type = "log", properties = { title = "Errors by run", view = "table", query = "${local.sources} | ${local.queries["errors by run"]}" } },
      { type = "log", properties = { title = "Slowest steps", view = "table", query = "${local.sources} | ${local.of_run} | ${local.queries["slowest steps"]}" } },
    ] },
  ]

  common_properties = {
    alarm  = {}
    log    = { region = var.region }
    metric = { period = 60, region = var.region, stacked = false, view = "timeSeries" }
    text   = {}
  }

  widgets = flatten([
    for number, row in local.rows : [
      for place, widget in row.widgets : {
        height     = row.height
        properties = merge(local.common_properties[widget.type], widget.properties)
        type       = widget.type
        width      = 24 / length(row.widgets)
        x          = place * 24 / length(row.widgets)
        y          = sum(concat([0], [for above in slice(local.rows, 0, number) : above.height]))
      }
    ]
  ])
}
