#!/bin/bash
## kola:
##   description: Never starts, since what Ignition fetches is not what it should be.
##   timeoutMin: 5

true
