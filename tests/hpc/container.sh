#!/usr/bin/env bash
# Build the image of the Dockerfile without Docker and without a registry, and run it as a cluster
# does: no network, read-only root, a user id that nobody has, a home that cannot be written.
#
#     tests/hpc/container.sh [--install] [FOLDER]
#
# --install lets apt install buildah and debootstrap (root, Debian or Ubuntu). Variables:
#     BASE            base image; made with debootstrap when not given
#     WHEELS          folder of wheels that pip may use beside its index, without BASE
#     TORCH_INDEX_URL as in the Dockerfile
# Exit code: 0 it works, 1 it does not, 77 a step cannot be made here: the last line names it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
install=
if [ "${1:-}" = --install ]; then install=yes; shift; fi
folder=$(realpath -m "${1:-$(mktemp -d)}")
mkdir -p "$folder"
suite=bookworm
somebody=54321

say() { printf '\n==> [%4d s] %s\n' "$SECONDS" "$*"; }
cannot() { printf 'SKIPPED at step "%s": %s\n' "$1" "$2"; exit 77; }
last() { tail -n "${2:-3}" "$folder/$1.log"; }

say "tools"
[ "$(id -u)" = 0 ] || cannot tools "debootstrap and chroot need root"
if [ -n "$install" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends buildah debootstrap >"$folder/apt.log" 2>&1 ||
        cannot tools "apt-get failed: $(last apt 1)"
fi
for command in buildah debootstrap unshare chroot; do
    command -v "$command" >/dev/null || cannot tools "no $command; --install installs it"
done
export STORAGE_DRIVER=vfs
storage=(--root "$folder/storage" --runroot "$folder/run")

if [ -z "${BASE:-}" ]; then
    BASE=localhost/base
    say "base image: debootstrap $suite"
    if [ ! -e "$folder/base/usr/bin/python3" ]; then
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
            "$suite" "$folder/base" >"$folder/debootstrap.log" 2>&1 ||
            cannot debootstrap "$(last debootstrap 1)"
    fi
    # this machine's network may have certificates of its own
    cp -L /etc/ssl/certs/ca-certificates.crt "$folder/base/etc/ssl/certs/"
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\nfind-links = /wheels\n' \
        >"$folder/base/etc/pip.conf"
    container=$(buildah "${storage[@]}" from scratch) || cannot "buildah from" "see above"
    buildah "${storage[@]}" copy --quiet "$container" "$folder/base" / >/dev/null ||
        cannot "buildah copy" "see above"
    buildah "${storage[@]}" commit --quiet --rm "$container" "$BASE" >/dev/null ||
        cannot "buildah commit" "see above"
fi

say "image: buildah bud"
mkdir -p "$folder/wheels"
buildah "${storage[@]}" bud --isolation chroot --layers=false \
    --volume "${WHEELS:-$folder/wheels}:/wheels:ro" \
    --build-arg BASE="$BASE" --build-arg TORCH_INDEX_URL="${TORCH_INDEX_URL:-}" \
    --tag bids-gan "$source" >"$folder/bud.log" 2>&1 || cannot "buildah bud" "$(last bud 6)"
buildah "${storage[@]}" inspect --type image --format '{{.OCIv1.Config.Labels}}' bids-gan

say "one person in the image: no network, read-only root, user $somebody, no home"
container=$(buildah "${storage[@]}" from bids-gan)
root=$(buildah "${storage[@]}" mount "$container")
mkdir -p "$folder/data" "$folder/out" "$folder/work" "$root/data" "$root/out" "$root/work"
chown "$somebody" "$folder/out" "$folder/work"
unshare --mount --net true || cannot "unshare" "no namespaces"
# shellcheck disable=SC2016  # expanded by the inner shell
inside='
    set -e
    mount --bind "$1" "$1"
    for name in data out work; do mount --bind "$2/$name" "$1/$name"; done
    mount -o remount,bind,ro "$1"
    mount -t tmpfs tmpfs "$1/tmp"
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmpfs "$1/dev"
    mknod -m 666 "$1/dev/null" c 1 3
    mknod -m 666 "$1/dev/urandom" c 1 9
    mkdir "$1/dev/shm"
    chmod 1777 "$1/dev/shm" "$1/tmp"
    shift 2
    exec chroot --userspec="$SOMEBODY:$SOMEBODY" "$ROOT" env -i HOME=/nowhere \
        PATH=/opt/bids-gan/bin:/usr/bin:/bin TEMPLATEFLOW_HOME=/opt/templateflow \
        TEMPLATEFLOW_AUTOUPDATE=off MPLCONFIGDIR=/tmp/matplotlib "$@"
'
run() {
    SOMEBODY=$somebody ROOT=$root \
        unshare --mount --net bash -c "$inside" inside "$root" "$folder" "$@"
}
[ -d "$folder/data/sub-01" ] || python3 "$here/people.py" "$folder/data" 1 ||
    cannot "input data" "people.py needs a Python with bids-gan on the PATH"
run bids-gan --version
if run touch /opt/bids-gan/x 2>/dev/null; then echo "the root can be written"; exit 1; fi
run bids-gan /data /out participant --work-dir /work --nprocs 2
test -s "$folder/out/sub-01.html"
echo "it works: $folder/out"
