# The module by itself: what alarms watch, and what follows the variables. tests/terraform holds the metrics to the code.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id = "123456789012"
  cache      = { name = "team-cache", nodes = 2 }
  prefix     = "team"
  region     = "eu-west-1"
  topic_arn  = "arn:aws:sns:eu-west-1:123456789012:team-events"

  functions = {
    neuron  = { log_group = "/aws/lambda/team-neuron", name = "team-neuron", queue = "team-neuron-dlq" }
    trainer = { log_group = "/aws/lambda/team-trainer", name = "team-trainer", queue = "team-trainer-dlq" }
  }
}

run "watches_every_function_queue_and_cache_node" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition = output.alarm_names == tolist([
      "team-cache-memory-001", "team-cache-memory-002",
      "team-neuron-dead-letters", "team-neuron-errors", "team-neuron-throttles",
      "team-stalled-run",
      "team-trainer-dead-letters", "team-trainer-errors", "team-trainer-throttles",
    ])
    error_message = "The alarms are others: ${join(", ", output.alarm_names)}."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([var.topic_arn]) && alarm.ok_actions == toset([var.topic_arn])])
    error_message = "An alarm does not reach the topic."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.treat_missing_data == "notBreaching"])
    error_message = "An alarm goes off where nothing is called."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["cache-memory-002"].dimensions == tomap({ CacheClusterId = "team-cache-002" })
    error_message = "The second node of the cache is not watched."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["trainer-dead-letters"].dimensions == tomap({ QueueName = "team-trainer-dlq" })
    error_message = "The Trainer's dead letters are not watched."
  }
}

run "thresholds_reach_their_alarms" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    thresholds    = { cache_memory_percent = 70, dead_letters = 2, errors = 3, stalled_looks = 4, throttles = 5 }
    watch_minutes = 10
  }

  assert {
    condition = {
      for key in ["cache-memory-001", "neuron-dead-letters", "neuron-errors", "neuron-throttles"] : key => aws_cloudwatch_metric_alarm.this[key].threshold
    } == { "cache-memory-001" = 70, "neuron-dead-letters" = 2, "neuron-errors" = 3, "neuron-throttles" = 5 }
    error_message = "An alarm has another threshold than was given."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["stalled-run"].evaluation_periods == 4 && aws_cloudwatch_metric_alarm.this["stalled-run"].period == 600
    error_message = "The alarm of stalled runs does not look as often as the watch, or not as many times as asked for."
  }
}

run "looks_back_for_a_day_at_most" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    watch_minutes = 2880
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["stalled-run"].period * aws_cloudwatch_metric_alarm.this["stalled-run"].evaluation_periods == 86400
    error_message = "CloudWatch takes no alarm that looks back for more than a day."
  }
}

run "the_dashboard_is_a_grid_without_gaps_or_overlaps" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.x + widget.width <= 24 && floor(widget.x) == widget.x && floor(widget.width) == widget.width
    ])
    error_message = "A widget is outside the 24 columns, or between two."
  }

  assert {
    condition     = sum([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.width * widget.height]) == 24 * max([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.y + widget.height]...)
    error_message = "The rows are not filled, or overlap."
  }
}

run "saves_queries_on_all_logs" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition     = output.query_names == tolist(["team/cost by epoch", "team/duplicates refused", "team/errors by run", "team/slowest steps"])
    error_message = "The saved queries are others."
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_query_definition.this : query.log_group_names == tolist(["/aws/lambda/team-neuron", "/aws/lambda/team-trainer"])])
    error_message = "A query does not read all logs."
  }
}

run "saves_no_queries_where_they_are_unknown" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    saved_queries = false
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == 0
    error_message = "Queries are saved that nobody asked for."
  }
}

run "refuses_thresholds_that_mean_nothing" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    thresholds    = { cache_memory_percent = 100, errors = 0, stalled_looks = 0 }
    watch_minutes = 0
  }

  expect_failures = [var.thresholds, var.watch_minutes]
}

run "refuses_to_watch_nothing" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    functions = {}
  }

  expect_failures = [var.functions]
}
