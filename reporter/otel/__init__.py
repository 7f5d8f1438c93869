"""Tasks out of OpenTelemetry spans: an application that is instrumented already reports without being changed.

    span --read--> Span --task_of--> Task --take--> whoever adds tasks up

The rules, which docs/otel.md states for everybody:

- `genai.v1.json` says which attributes are looked at. No other is decoded, let alone kept: prompts and answers are
  skipped where they stand in the bytes.
- What a span does not say, or says in words of its own, is unsaid or `other`; it is never an error.
- Nothing of a span is written anywhere: no log line, no error, no answer repeats a byte of it.
- OpenTelemetry is not imported. The processor is handed spans by an SDK, the receiver reads OTLP itself.
"""
