variable "account_id" {
  description = "Account that owns the bucket: the function answers to no other account's bucket of the same name."
  type        = string
}

variable "bucket_name" {
  description = "Name of the bucket."
  type        = string
}

variable "noncurrent_version_days" {
  description = "Days for which a replaced or deleted object can still be brought back."
  type        = number
}

variable "parameters_file" {
  description = "Path of the parameters.json that is uploaded beside the data sets."
  type        = string
}

variable "require_tls" {
  description = "Refuse whoever asks for the bucket over plain HTTP. Off is for a local cloud, which speaks nothing else."
  type        = bool
  default     = true
}

variable "runs_expiry_days" {
  description = "Days after which a run's tensors and checkpoints under runs/ are deleted."
  type        = number
}

variable "triggers" {
  description = "Functions that an upload starts, by a name of the trigger: ARN and name of the function, and where the uploads lie. No two may overlap."
  type = map(object({
    arn    = string
    name   = string
    prefix = string
    suffix = optional(string, ".h5")
  }))
}
