#!/bin/bash
## kola:
##   description: Never starts, since Ignition cannot make a directory where there is a file.
##   timeoutMin: 5

true
