# The Glue database in which compactors keep a table for each topic with cauce.table=iceberg. Tables belong to the
# compactors: they can be registered again from the bucket, which has all of their metadata.

resource "aws_glue_catalog_database" "this" {
  name        = var.database
  description = "Topics of Cauce as Iceberg tables"
}
