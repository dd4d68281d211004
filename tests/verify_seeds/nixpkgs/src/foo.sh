#!/bin/sh
echo one
echo two of the script
