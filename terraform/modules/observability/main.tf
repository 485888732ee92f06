data "aws_partition" "current" {}

locals {
  # The functions' own metrics: functions/lnn/runs/metrics.py has their names.
  namespace = "LNN"

  # ElastiCache numbers the nodes of a group from 001.
  cache_nodes = [for number in range(1, var.cache.nodes + 1) : format("%s-%03d", var.cache.name, number)]

  # Minutes between two looks of the alarm: as many as between two checks of the watch, but an alarm looks back for a day at most.
  looks_minutes = min(var.watch_minutes, floor(1440 / var.thresholds.stalled_looks))

  function_alarms = merge([
    for role, function in var.functions : {
      "${role}-errors" = {
        description = "${function.name} has failed. Its log says why (saved query: errors by run); a run goes on by itself if a repeat heals it."
        dimensions  = { FunctionName = function.name }
        metric      = "Errors"
        namespace   = "AWS/Lambda"
        period      = 300
        statistic   = "Sum"
        threshold   = var.thresholds.errors
      }
      "${role}-throttles" = {
        description = "${function.name} was refused for want of concurrency. Runs go on, slower: ask AWS for more concurrent executions, or lower neuron_window or max_workers."
        dimensions  = { FunctionName = function.name }
        metric      = "Throttles"
        namespace   = "AWS/Lambda"
        period      = 300
        statistic   = "Sum"
        threshold   = var.thresholds.throttles
      }
      "${role}-dead-letters" = {
        description = "${function.queue} has events that ${function.name} failed on at every retry. Read one, mend the cause, then send them again or purge the queue."
        dimensions  = { QueueName = function.queue }
        metric      = "ApproximateNumberOfMessagesVisible"
        namespace   = "AWS/SQS"
        period      = 60
        statistic   = "Maximum"
        threshold   = var.thresholds.dead_letters
      }
    }
  ]...)

  cache_alarms = {
    for node in local.cache_nodes : "cache-memory-${substr(node, -3, 3)}" => {
      description = "The parameter server ${node} is nearly full; a full one refuses writes and fails runs. Train one run at a time, or choose a larger cache.node_type."
      dimensions  = { CacheClusterId = node }
      metric      = "DatabaseMemoryUsagePercentage"
      namespace   = "AWS/ElastiCache"
      period      = 60
      periods     = 3
      statistic   = "Maximum"
      threshold   = var.thresholds.cache_memory_percent
    }
  }

  run_alarms = {
    stalled-run = {
      description = "Nobody works on a run, and starting it again does not help. lnn show RUN tells its story; then lnn stop RUN, or mend the cause and wait."
      dimensions  = { service = var.prefix }
      metric      = "StalledRuns"
      namespace   = local.namespace
      period      = 60 * local.looks_minutes
      periods     = var.thresholds.stalled_looks
      statistic   = "Minimum"
      threshold   = 1
    }
  }

  alarms     = merge(local.function_alarms, local.cache_alarms, local.run_alarms)
  alarm_arns = [for key in sort(keys(local.alarms)) : "arn:${data.aws_partition.current.partition}:cloudwatch:${var.region}:${var.account_id}:alarm:${var.prefix}-${key}"]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_actions       = [var.topic_arn]
  alarm_description   = each.value.description
  alarm_name          = "${var.prefix}-${each.key}"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  dimensions          = each.value.dimensions
  evaluation_periods  = try(each.value.periods, 1)
  metric_name         = each.value.metric
  namespace           = each.value.namespace
  ok_actions          = [var.topic_arn]
  period              = each.value.period
  statistic           = each.value.statistic
  threshold           = each.value.threshold

  # No data is no fault: a function that nobody calls, or a cache that is being made, has none.
  treat_missing_data = "notBreaching"
}

resource "aws_cloudwatch_dashboard" "this" {
  # Dashboards are the account's, whatever the region.
  dashboard_name = "${var.prefix}-trainings-${var.region}"
  dashboard_body = jsonencode({
    start     = "-PT3H"
    variables = [local.run_variable]
    widgets   = local.widgets
  })
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = var.saved_queries ? local.queries : {}

  log_group_names = local.log_groups
  name            = "${var.prefix}/${each.key}"
  query_string    = each.value
}
