#!/bin/bash
## kola:
##   description: x

true
