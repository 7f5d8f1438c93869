"""What may be said, and who may keep it: the report schemas, the tiers' policies, and the code that reads both.

`reports/*.avsc` holds one immutable file per report version; `tiers/*.toml` holds one policy per tier. Nothing in this
package opens a socket, and it imports none of the other packages.
"""
