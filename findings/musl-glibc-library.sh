#!/usr/bin/env bash
# Finding: a shared library that was linked to glibc loads and runs under musl's loader, if it needs nothing but libc,
# libm, libpthread, librt, libdl or libutil, and no symbol that musl lacks. musl takes those names for itself, whatever
# follows the first dot (libc.so.6 is no file there), and binds symbols by name alone: it does not read which versions
# are asked for (GLIBC_2.2.5), nor whether there is such a version. So one library serves both C libraries. What is
# needed besides is refused when the library is loaded: another library's file, or a function of glibc's own.
#
# Seen with ziglang 0.17.0 (glibc 2.28), Debian 12's musl 1.2.3-1, Linux x86-64:
#   needed: libc.so.6 libm.so.6 libpthread.so.0
#   musl: 2 from a thread
#   musl, asked for GLIBC_9.9.9: 2 from a thread
#   glibc, asked for GLIBC_9.9.9: refused
#   musl, without a function: Error relocating ./libowner.so: gnu_get_libc_version: symbol not found
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ZIG_GLOBAL_CACHE_DIR=$work/cache ZIG_LOCAL_CACHE_DIR=$work/cache
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ziglang==0.17.0
cd "$work"
apt-get download -qq musl=1.2.3-1 2>/dev/null || apt-get download musl=1.2.3-1
dpkg-deb --extract musl_1.2.3-1_amd64.deb musl
zig() { "$work/venv/bin/python" -m ziglang cc "$@"; }

cat >root.c <<'C'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
static void *compute(void *x) { *(double *)x = exp2(*(double *)x); return 0; }
void say(double x) {
    pthread_t thread;
    pthread_create(&thread, 0, compute, &x);
    pthread_join(thread, 0);
    printf("%g from a thread\n", x);
}
C
echo 'extern const char *gnu_get_libc_version(void); void say(double x) { gnu_get_libc_version(); }' >owner.c
echo 'void say(double x); int main(void) { say(1); return 0; }' >main.c
for name in root owner; do
  zig -target x86_64-linux-gnu.2.28 -shared -fPIC -fno-builtin -O1 -o "lib$name.so" "$name.c" -lm -lpthread
done
zig -target x86_64-linux-musl -dynamic -O1 -o under-musl main.c libroot.so -Wl,-rpath,.
zig -target x86_64-linux-musl -dynamic -O1 -o owner-under-musl main.c libowner.so -Wl,-rpath,. -Wl,--allow-shlib-undefined
zig -target x86_64-linux-gnu.2.28 -O1 -o under-glibc main.c libroot.so -Wl,-rpath,.
loader=musl/lib/ld-musl-x86_64.so.1

{
  echo "needed: $(readelf --dynamic libroot.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | xargs)"
  echo "musl: $($loader ./under-musl)"
  LC_ALL=C sed -i 's/GLIBC_2\.2\.5/GLIBC_9.9.9/g' libroot.so
  echo "musl, asked for GLIBC_9.9.9: $($loader ./under-musl)"
  if ./under-glibc 2>said; then echo "glibc, asked for GLIBC_9.9.9: runs"; else
    grep -q 'version .*GLIBC_9.9.9.* not found' said && echo "glibc, asked for GLIBC_9.9.9: refused"
  fi
  echo "musl, without a function: $($loader ./owner-under-musl 2>&1 || true)"
} | tee seen
diff seen - <<'SEEN'
needed: libc.so.6 libm.so.6 libpthread.so.0
musl: 2 from a thread
musl, asked for GLIBC_9.9.9: 2 from a thread
glibc, asked for GLIBC_9.9.9: refused
musl, without a function: Error relocating ./libowner.so: gnu_get_libc_version: symbol not found
SEEN
