variable "account_concurrency" {
  description = <<-EOT
    Concurrent executions that AWS allows the account in this region: Service Quotas, Lambda, "Concurrent executions" (10 in a new
    account). A training with workers starts when all of them can run at once, and waits in line until then. A reserved concurrency of
    functions.neuron counts instead, where there is one.
  EOT
  type        = number
  default     = 1000

  validation {
    condition     = var.account_concurrency >= 1 && floor(var.account_concurrency) == var.account_concurrency
    error_message = "Give account_concurrency as a whole number of 1 or more."
  }
}

variable "account_id" {
  description = "Number of the AWS account, which names contain. Terraform refuses credentials of another account. Null takes the account of the credentials in use; `make deploy` sets it."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Give account_id as the 12 digits of an AWS account, or null to look it up."
  }
}

variable "alarm_thresholds" {
  description = <<-EOT
    Thresholds of the alarms, which mail the addresses of `emails`: percent of a cache node's memory; events in a dead-letter queue;
    errors of a function, and throttles, within five minutes; and successive checks of the watch that find a run without a worker.
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
    condition     = var.alarm_thresholds.cache_memory_percent > 0 && var.alarm_thresholds.cache_memory_percent < 100
    error_message = "Give alarm_thresholds.cache_memory_percent as more than 0 and less than 100."
  }

  validation {
    condition = alltrue([
      for count in [var.alarm_thresholds.dead_letters, var.alarm_thresholds.errors, var.alarm_thresholds.stalled_looks, var.alarm_thresholds.throttles] :
      count >= 1 && floor(count) == count
    ]) && var.alarm_thresholds.stalled_looks <= 10
    error_message = "Give dead_letters, errors, stalled_looks (at most 10) and throttles of alarm_thresholds as whole numbers of 1 or more."
  }
}

variable "architecture" {
  description = "Instruction set of functions and layer. arm64 costs about 20% less for each second than x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "Set architecture to \"arm64\" or \"x86_64\", and build the layer for the same one."
  }
}

variable "build_directory" {
  description = "Folder in which `make package` and `make layer` put functions/*.zip and layers/*.zip. A relative path starts at this folder."
  type        = string
  default     = "../build"
}

variable "cache" {
  description = <<-EOT
    The parameter server. A cache.t4g.micro holds about 0.4 GB of tensors and costs about $9 a month; each replica costs as much
    again and adds automatic failover. `engine_version` is the version of Valkey that a new cache starts with. Terraform leaves the
    engine of a running cache alone; where it is older, a plan prints the command that upgrades it. `transit_encryption` is TLS with
    IAM login; turn it off only for a local cloud, whose Redis speaks plain text.
  EOT
  type = object({
    engine_version     = optional(string, "8.2")
    node_type          = optional(string, "cache.t4g.micro")
    replicas           = optional(number, 0)
    transit_encryption = optional(bool, true)
  })
  # Repeats the default in the type, for scanners that do not read it there.
  default = { transit_encryption = true }

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.cache.node_type))
    error_message = "Give cache.node_type as ElastiCache names it, for example \"cache.t4g.micro\"."
  }

  validation {
    condition     = var.cache.replicas >= 0 && var.cache.replicas <= 5 && floor(var.cache.replicas) == var.cache.replicas
    error_message = "Give cache.replicas as a whole number from 0 to 5: ElastiCache takes no more."
  }
}

variable "cache_port" {
  description = "Port of the parameter server. A local cloud's Redis may use another."
  type        = number
  default     = 6379

  validation {
    condition     = var.cache_port > 0 && var.cache_port < 65536 && floor(var.cache_port) == var.cache_port
    error_message = "Give cache_port as a whole number from 1 to 65535."
  }
}

variable "emails" {
  description = "Addresses that get a message when a run starts, ends or fails. AWS mails each a link to confirm first."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@[:space:]]+@[^@[:space:]]+\\.[^@[:space:]]+$", email))])
    error_message = "Give each of emails as one plain address, for example \"ada@example.org\"."
  }
}

variable "existing_vpc" {
  description = <<-EOT
    An existing VPC to use instead of a new one: its id, its private subnets, each in another zone, and the route tables of these
    subnets, which get endpoints for S3 and DynamoDB. Set `endpoints = false` where the VPC already reaches S3, DynamoDB, Lambda and
    SNS. The endpoints lead to this account's resources only, for everybody in the VPC; `endpoint_policies = false` lifts that limit.
  EOT
  type = object({
    endpoint_policies = optional(bool, true)
    endpoints         = optional(bool, true)
    route_table_ids   = optional(list(string), [])
    subnet_ids        = list(string)
    vpc_id            = string
  })
  default = null

  validation {
    condition     = var.existing_vpc == null || try(startswith(var.existing_vpc.vpc_id, "vpc-") && length(var.existing_vpc.subnet_ids) > 0 && alltrue([for id in var.existing_vpc.subnet_ids : startswith(id, "subnet-")]), false)
    error_message = "Give existing_vpc its vpc_id (vpc-...) and at least one of its private subnets in subnet_ids (subnet-...)."
  }

  validation {
    condition     = var.existing_vpc == null || try(!var.existing_vpc.endpoints || length(var.existing_vpc.route_table_ids) > 0, false)
    error_message = "Give existing_vpc the route_table_ids of its subnets, for the endpoints of S3 and DynamoDB; or set endpoints = false where the VPC already reaches AWS."
  }
}

variable "flow_log_retention_days" {
  description = "Days for which CloudWatch keeps the flow logs. Questions about traffic often come months later, and storage costs about $0.03 for each GB and month."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.flow_log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827 or 3653 days: choose one of these."
  }
}

variable "flow_logs" {
  description = "Traffic of a new VPC that goes to a log group: ALL, ACCEPT, REJECT or NONE. Logs cost about $0.50 for each GB."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "ACCEPT", "REJECT", "NONE"], var.flow_logs)
    error_message = "Set flow_logs to ALL, ACCEPT, REJECT or NONE."
  }
}

variable "functions" {
  description = <<-EOT
    Memory (MB), timeout (s), /tmp (MB) and reserved concurrency of each function. Cost follows memory x time; CPU follows memory:
    1,769 MB is one vCPU. A timeout of null is the longest that Lambda allows.

    launch keeps the data set's file in /tmp and reads it block by block. trainer runs whole trainings (`fused`); 3,008 MB is the most
    that every new account allows. neuron does one neuron's work in milliseconds, or stays as a worker (`resident`, `data`) with one
    vCPU, and /tmp for its share of the examples. predict answers the prediction API, which waits for 29 seconds, and parts
    of batches, which are small enough for that. register enters models in the registry.

    A reserved concurrency is set aside for the function, and is also its most; null takes from the account's pool.
  EOT
  type = object({
    launch = optional(object({
      memory               = optional(number, 1769)
      timeout              = optional(number)
      storage              = optional(number, 2048)
      reserved_concurrency = optional(number)
    }), {})
    neuron = optional(object({
      memory               = optional(number, 1769)
      timeout              = optional(number)
      storage              = optional(number, 2048)
      reserved_concurrency = optional(number)
    }), {})
    predict = optional(object({
      memory               = optional(number, 1769)
      timeout              = optional(number, 29)
      storage              = optional(number, 512)
      reserved_concurrency = optional(number)
    }), {})
    register = optional(object({
      memory               = optional(number, 1769)
      timeout              = optional(number, 60)
      storage              = optional(number, 512)
      reserved_concurrency = optional(number)
    }), {})
    trainer = optional(object({
      memory               = optional(number, 3008)
      timeout              = optional(number)
      storage              = optional(number, 512)
      reserved_concurrency = optional(number)
    }), {})
  })
  default = {}

  validation {
    condition     = alltrue([for size in values(var.functions) : size.memory >= 128 && size.memory <= 10240])
    error_message = "Give the memory of each function from 128 to 10240 MB."
  }

  validation {
    condition     = alltrue([for size in values(var.functions) : try(size.timeout >= 10 && size.timeout <= local.longest_invocation, size.timeout == null)])
    error_message = "Give the timeout of each function from 10 to ${local.longest_invocation} seconds, or null for the longest: this version of the AWS provider takes no more."
  }

  validation {
    condition     = alltrue([for size in values(var.functions) : size.storage >= 512 && size.storage <= 10240])
    error_message = "Give the storage of each function from 512 to 10240 MB."
  }

  validation {
    condition     = alltrue([for size in values(var.functions) : try(size.reserved_concurrency >= 1, size.reserved_concurrency == null)])
    error_message = "Give each reserved_concurrency as 1 or more, or null: 0 would stop the function."
  }
}

variable "layer_zip" {
  description = "Zip of the numpy/h5py layer. Null takes the one that `make layer` builds for `runtime` and `architecture`."
  type        = string
  default     = null
}

variable "log_level" {
  description = "Least severe level that the functions log. DEBUG adds a line for each neuron of each step; at $0.50 for each GB, the line costs about as much as the neuron's work."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "Set log_level to DEBUG, INFO, WARNING or ERROR."
  }
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the logs."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827 or 3653 days: choose one of these."
  }
}

variable "max_workers" {
  description = <<-EOT
    The most workers that the planner chooses for a training with `"workers": null`. Each worker is one concurrent execution: keep the
    number below your account's limit (10 in a new account).
  EOT
  type        = number
  default     = 16

  validation {
    condition     = var.max_workers >= 1 && var.max_workers <= 256 && floor(var.max_workers) == var.max_workers
    error_message = "Give max_workers as a whole number from 1 to 256."
  }
}

variable "monthly_budget_usd" {
  description = "US dollars that the whole account may cost in a month; at 80% of them, or when more are forecast, AWS mails the addresses in emails. Null for no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null || try(var.monthly_budget_usd > 0, false)
    error_message = "Give monthly_budget_usd as an amount above 0, or null for no budget."
  }
}

variable "neuron_window" {
  description = "The most neurons of a step in flight at once; 0 for no limit. Set it below your account's concurrent executions (10 in a new account)."
  type        = number
  default     = 0

  validation {
    condition     = var.neuron_window >= 0 && floor(var.neuron_window) == var.neuron_window
    error_message = "Give neuron_window as a whole number, 0 for no limit."
  }
}

variable "noncurrent_version_days" {
  description = "Days for which S3 keeps, and charges for, a data set or model that was replaced or deleted, so that it can be restored."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_version_days >= 1 && floor(var.noncurrent_version_days) == var.noncurrent_version_days
    error_message = "Give noncurrent_version_days as a whole number of 1 or more."
  }
}

variable "notebook" {
  description = <<-EOT
    A SageMaker notebook instance in the private subnet, with this repository's notebooks and the `lnn` command. It stops itself after
    idle_minutes without work; x86_64 types, such as ml.t3.medium, cost from about $0.05 an hour while it is on, and its endpoint
    and volume about $10 a month. Run `make bundle` first.
  EOT
  type = object({
    enabled       = optional(bool, false)
    idle_minutes  = optional(number, 60)
    instance_type = optional(string, "ml.t3.medium")
    volume_gb     = optional(number, 20)
  })
  default = {}

  validation {
    condition     = var.notebook.idle_minutes >= 10 && var.notebook.idle_minutes <= 1440
    error_message = "Give notebook.idle_minutes from 10 to 1440: a day."
  }

  validation {
    condition     = can(regex("^ml\\.[a-z0-9]+\\.[a-z0-9]+$", var.notebook.instance_type))
    error_message = "Give notebook.instance_type as SageMaker names it, for example \"ml.t3.medium\"."
  }

  validation {
    condition     = var.notebook.volume_gb >= 5 && var.notebook.volume_gb <= 16384 && floor(var.notebook.volume_gb) == var.notebook.volume_gb
    error_message = "Give notebook.volume_gb as a whole number from 5 to 16384: SageMaker takes no other."
  }
}

variable "parameters_file" {
  description = "The parameters.json that is uploaded to training_input/. A relative path starts at this folder."
  type        = string
  default     = "../parameters.json"
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role, for an account that requires one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:policy/", var.permissions_boundary))
    error_message = "Give permissions_boundary as the ARN of an IAM policy, or null."
  }
}

variable "prediction_access" {
  description = <<-EOT
    Who may call the prediction API and see its page. "iam": callers of this account whose policies allow it, with signed requests
    (`lnn page` signs a browser's). "public": everybody who knows the address. Predictions take concurrent executions from training, so
    "public" requires a bound: functions.predict.reserved_concurrency, or a low prediction_throttling.
  EOT
  type        = string
  default     = "iam"

  validation {
    condition     = contains(["iam", "public"], var.prediction_access)
    error_message = "Set prediction_access to \"iam\" or \"public\"."
  }

  # API Gateway lets `burst` requests through at once and `rate` more in each second. Each may hold an environment until the timeout
  # (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html).
  validation {
    condition     = var.prediction_access != "public" || var.functions.predict.reserved_concurrency != null || local.predictions_at_once <= var.prediction_throttling.at_once
    error_message = "Public predictions could take ${local.predictions_at_once} concurrent executions from training. Set functions.predict.reserved_concurrency, for example to 20; or, where the account has none to reserve, lower prediction_throttling and functions.predict.timeout: burst + rate x timeout may be at most prediction_throttling.at_once, ${var.prediction_throttling.at_once}."
  }
}

variable "prediction_throttling" {
  description = <<-EOT
    Requests that the prediction API answers in a second on average (rate), and at once (burst); it answers more with 429. at_once is
    the most concurrent executions that a public API may take from the account's pool where functions.predict reserves none.
  EOT
  type = object({
    at_once = optional(number, 100)
    burst   = optional(number, 100)
    rate    = optional(number, 50)
  })
  default = {}

  validation {
    condition     = var.prediction_throttling.at_once >= 1 && floor(var.prediction_throttling.at_once) == var.prediction_throttling.at_once
    error_message = "Give prediction_throttling.at_once as a whole number of 1 or more."
  }

  validation {
    condition     = var.prediction_throttling.rate > 0 && var.prediction_throttling.burst >= 1 && floor(var.prediction_throttling.burst) == var.prediction_throttling.burst
    error_message = "Give prediction_throttling.rate above 0, and .burst as a whole number of 1 or more."
  }
}

variable "prefix" {
  description = "Start of every name, so that several deployments can share an account."
  type        = string
  default     = "lnn"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9]){0,19}$", var.prefix)) && length(var.prefix) <= 20
    error_message = "Give prefix as at most 20 lower-case letters, digits and single hyphens, starting with a letter and not ending with a hyphen: bucket, cache and roles are named after it."
  }
}

variable "region" {
  description = "AWS region of everything: a commercial one."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region)) && !startswith(var.region, "cn-")
    error_message = "Give region as AWS names it, for example \"us-east-1\". Only commercial regions will do: China, GovCloud and sovereign clouds have other names for services and rights, which nobody has tried here."
  }
}

variable "require_tls" {
  description = "Refuse requests for the bucket over plain HTTP. Turn it off only for a local cloud, which speaks no HTTPS."
  type        = bool
  default     = true
}

variable "runs_expiry_days" {
  description = "Days after which a run's tensors and checkpoints are deleted. Models, results and data sets stay."
  type        = number
  default     = 30

  validation {
    condition     = var.runs_expiry_days >= 1 && floor(var.runs_expiry_days) == var.runs_expiry_days
    error_message = "Give runs_expiry_days as a whole number of 1 or more."
  }
}

variable "runtime" {
  description = "Python runtime of functions and layer."
  type        = string
  default     = "python3.13"

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.runtime)
    error_message = "Set runtime to python3.11, python3.12 or python3.13, and build the layer for the same one."
  }
}

variable "saved_queries" {
  description = "Save queries in CloudWatch Logs Insights. Turn it off for a local cloud, which cannot save queries."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of every resource, besides `application`."
  type        = map(string)
  default     = {}
}

variable "tracing" {
  description = "Trace the functions with X-Ray: one request a second and 5% of the rest, for about $5 a million traces."
  type        = bool
  default     = true
}

variable "vpc_cidr" {
  description = "Address range of the VPC, /16 to /24. Choose another where you connect the VPC to networks of yours that use this one."
  type        = string
  default     = "10.0.0.0/20"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(1[6-9]|2[0-4])$", var.vpc_cidr))
    error_message = "Give vpc_cidr as an IPv4 range from /16 to /24, for example \"10.0.0.0/20\"."
  }
}

variable "watch_rate" {
  description = "How often the watch looks for stalled runs, as an EventBridge rate. Once a minute is about 44,000 short invocations a month."
  type        = string
  default     = "rate(1 minute)"

  validation {
    condition     = can(regex("^rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)$", var.watch_rate))
    error_message = "Give watch_rate as an EventBridge rate, for example \"rate(1 minute)\" or \"rate(5 minutes)\"."
  }
}

variable "zone_count" {
  description = <<-EOT
    Availability zones for functions and cache. One is the fastest and cheapest: a round trip to the cache stays in the zone. Several,
    with cache.replicas, survive the loss of a zone; each adds about $15 a month of interface endpoints. The first deployment chooses
    zones that have all services, and later ones keep them: to change them, name them in `zones`.
  EOT
  type        = number
  default     = 1

  validation {
    condition     = var.zone_count >= 1 && var.zone_count <= 6 && floor(var.zone_count) == var.zone_count
    error_message = "Give zone_count as a whole number from 1 to 6."
  }
}

variable "zones" {
  description = <<-EOT
    Letters of the availability zones, instead of the choice by `zone_count`. Name the zones in use first and in their order: a subnet's
    address range follows from its position in this list. The same letter means different zones in different accounts.
  EOT
  type        = list(string)
  default     = null

  validation {
    condition     = var.zones == null || try(length(var.zones) > 0 && length(var.zones) <= 6 && alltrue([for zone in var.zones : can(regex("^[a-f]$", zone))]) && length(distinct(var.zones)) == length(var.zones), false)
    error_message = "Give zones as one to six different letters of availability zones, for example [\"a\", \"b\"], or null to have them chosen."
  }
}
