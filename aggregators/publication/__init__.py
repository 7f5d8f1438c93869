"""Publication: what each measure is, which of its cells may be shown, and the files of what was shown."""
