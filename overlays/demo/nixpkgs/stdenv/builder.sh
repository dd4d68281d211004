# shellcheck shell=bash disable=SC1091,SC2154
source "$stdenv/setup"
genericBuild
