"""The glue: one file per element; the file name is the name in configurations."""
