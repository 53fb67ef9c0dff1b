"""Numbers and pictures about animation: units asked and read, frames against photographs, the study with people."""
