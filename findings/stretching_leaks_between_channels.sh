#!/usr/bin/env bash
# pedalboard 0.9.26 (Rubber Band): a channel of silence is no longer silent after a change of tempo.
#
