"""What a device says of a span of time: observations are added up, and only their sums leave this package.

    tasks, syncs, probes, ... --add--> windows --values--> what the schemas call a report, --flagged--> with presence

The rules, which docs/reports.md states for everybody:

- No observation is kept. A window holds counts by combination of dimensions, and no time but its own.
- Rows of fewer tasks than the tier asks for become one row whose dimensions all read `other` (`folding`).
- Tokens and bytes are rounded to two significant digits once they are added up (`numbers`).
- What the schema has no symbol for becomes `other`, or the schema's own `unknown`; a number beyond its type becomes the
  largest one. Nothing that an application says is an error (`vocabulary`).
- Presence flags come last, once the tier's policy has taken its fields off (`presence` says why).
- Rows are in the order of their dimensions: that in which they were first met would say how tasks followed each other.

Everything here is pure: times, random bytes and what was seen before are handed in.
"""
