"""Studies of tasks beside language modelling: what recurrent networks read, tag and translate."""
