"""VCF and BCF text into Arrow columns: every byte is checked, and no step works record by record in Python."""
