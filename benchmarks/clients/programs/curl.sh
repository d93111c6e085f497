#!/bin/sh
# curl: CASE URL FILE; prints the body, then the status on a line of its own.
case $1 in
raw | large) set -- -H 'Content-Type: image/jpeg' --data-binary "@$3" "$2" ;;
upgrade) set -- --http2 -H 'Content-Type: image/jpeg' --data-binary "@$3" "$2" ;;
form) set -- -F "file=@$3" "$2" ;;
chunked) set -- -H 'Content-Type: image/jpeg' -H 'Transfer-Encoding: chunked' --data-binary "@$3" "$2" ;;
*) exit 3 ;;
esac
exec curl -sS -w '\n%{http_code}\n' "$@"
