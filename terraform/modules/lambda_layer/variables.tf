variable "architecture" {
  description = "Instruction set that the layer was built for: arm64 or x86_64."
  type        = string
}

variable "name" {
  description = "Name of the layer."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime that the layer was built for."
  type        = string
}

variable "zip" {
  description = "Path of the layer's zip file."
  type        = string
}
