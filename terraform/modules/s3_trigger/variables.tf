variable "account_id" {
  description = "Account that owns the bucket: the function answers to no other account's bucket of the same name."
  type        = string
}

variable "bucket_name" {
  description = "Name of the bucket."
  type        = string
}

variable "function" {
  description = "Function that an upload starts: its ARN and its name."
  type = object({
    arn  = string
    name = string
  })
}

variable "noncurrent_version_days" {
  description = "Days for which a replaced or deleted object can still be brought back."
  type        = number
}

variable "parameters_file" {
  description = "Path of the parameters.json that is uploaded beside the data sets."
  type        = string
}

variable "prefix_filter" {
  description = "Folder whose uploads start training, ending in a slash."
  type        = string
  default     = "training_input/"
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

variable "suffix_filter" {
  description = "Ending of the uploads that start training."
  type        = string
  default     = ".h5"
}
