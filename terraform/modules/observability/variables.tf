variable "account_id" {
  description = "Account of the deployment, to compose ARNs."
  type        = string
}

variable "cache" {
  description = "The parameter server: id of the replication group, and its number of nodes."
  type = object({
    name  = string
    nodes = number
  })
}

variable "functions" {
  description = "The functions to watch, by role: name, log group, and queue of the events that failed every retry."
  type = map(object({
    log_group = string
    name      = string
    queue     = string
  }))

  validation {
    condition     = length(var.functions) > 0
    error_message = "Name at least one function to watch."
  }
}

variable "prefix" {
  description = "Name prefix of every resource; the functions' metrics have it as their dimension `service`."
  type        = string
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "saved_queries" {
  description = "Save queries in CloudWatch Logs Insights. Turn it off for a local cloud, which cannot save queries."
  type        = bool
  default     = true
}

variable "thresholds" {
  description = <<-EOT
    Thresholds of the alarms: percent of a cache node's memory; events in a dead-letter queue; errors of a function, and throttles,
    within five minutes; and successive checks of the watch that find a run without a worker (the first check restarts the run).
  EOT
  type = object({
    cache_memory_percent = optional(number, 80)
    dead_letters         = optional(number, 1)
    errors               = optional(number, 1)
    stalled_looks        = optional(number, 3)
    throttles            = optional(number, 10)
  })
  default = {}

  validation {
    condition     = var.thresholds.cache_memory_percent > 0 && var.thresholds.cache_memory_percent < 100
    error_message = "Give thresholds.cache_memory_percent as more than 0 and less than 100."
  }

  validation {
    condition     = alltrue([for count in [var.thresholds.dead_letters, var.thresholds.errors, var.thresholds.throttles] : count >= 1 && floor(count) == count])
    error_message = "Give thresholds.dead_letters, .errors and .throttles as whole numbers of 1 or more."
  }

  validation {
    condition     = var.thresholds.stalled_looks >= 1 && var.thresholds.stalled_looks <= 10 && floor(var.thresholds.stalled_looks) == var.thresholds.stalled_looks
    error_message = "Give thresholds.stalled_looks as a whole number from 1 to 10."
  }
}

variable "topic_arn" {
  description = "ARN of the SNS topic to which alarms publish."
  type        = string
}

variable "watch_minutes" {
  description = "Minutes between two checks of the watch."
  type        = number
  default     = 1

  validation {
    condition     = var.watch_minutes >= 1 && floor(var.watch_minutes) == var.watch_minutes
    error_message = "Give watch_minutes as a whole number of 1 or more."
  }
}
