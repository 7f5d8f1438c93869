"""How what waits gets to the gate, and what its answers mean.

    Queue --due--> Waiting --body--> Transport --Answer--> decide --> settle, and Pace says when the next may go

* One sender for a device, one connection at most, and none while there is nothing to say.
* A report is sent to the tier it was made for, under the policy and the consents of the moment. Identifiers are put in
  on the way (`body`) and are written nowhere.
* Whatever a gate, a proxy or a stranger answers is data to be judged (`answers`): what is not understood is a retry.
* Nothing here raises for a network that fails or a disk that is full.
"""
