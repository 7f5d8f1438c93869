"""Answers: a question over HTTP, and what of the published cells answers it."""
