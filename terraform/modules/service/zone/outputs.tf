output "task_definitions" {
  description = "Slot to task definition."
  value       = { for name, made in module.container : name => made.task_definition_arn }
}
