#!/bin/sh
# wget: it sends a file as the body; neither forms nor chunks.
case $1 in raw | large) ;; *) exit 3 ;; esac
heads=$(mktemp)
trap 'rm -f "$heads"' EXIT
wget -q -O - --content-on-error --server-response --tries=1 --header 'Content-Type: image/jpeg' \
  --post-file "$3" "$2" 2>"$heads"
echo
sed -n 's/^ *HTTP\/1.[01] \([0-9]*\).*/\1/p' "$heads" | tail -1
