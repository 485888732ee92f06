variable "account_id" {
  description = "Account that owns the bucket. Lambda refuses events of another account's bucket, even one of the same name."
  type        = string
}

variable "bucket_name" {
  description = "Name of the bucket."
  type        = string
}

variable "noncurrent_version_days" {
  description = "Days for which a replaced or deleted object can be restored."
  type        = number
}

variable "parameters_file" {
  description = "Path of the parameters.json that is uploaded beside the data sets."
  type        = string
}

variable "require_tls" {
  description = "Refuse requests for the bucket over plain HTTP. Turn it off only for a local cloud, which speaks no HTTPS."
  type        = bool
  default     = true
}

variable "runs_expiry_days" {
  description = "Days after which a run's tensors and checkpoints under runs/ are deleted."
  type        = number
}

variable "triggers" {
  description = "Functions that an upload starts, by name of the trigger: ARN and name of the function, and prefix and suffix of the uploads' keys. S3 refuses triggers that overlap."
  type = map(object({
    arn    = string
    name   = string
    prefix = string
    suffix = optional(string, ".h5")
  }))
}
