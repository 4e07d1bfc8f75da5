#!/usr/bin/env bash
# Build the image of the Dockerfile without Docker and without a registry, and run the demo in it as
# a cluster does: no network, read-only root, a user id that nobody has, a home that cannot be
# written.
#
#     tests/hpc/container.sh [--install] [FOLDER]
#
# --install lets apt install buildah and debootstrap (root, Debian or Ubuntu). The image takes 5 GB
# of FOLDER and is removed at the end; base system, demo and logs stay. Variables:
#     BASE            base image; made with debootstrap when not given
#     WHEELS          folder of wheels that pip may use beside its index, without BASE; where pip
#                     looks on this machine when not given
#     TORCH_INDEX_URL as in the Dockerfile
# Exit code: 0 it works, 77 a step cannot be made here: the last line names it; else it does not.
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
    { apt-get update && apt-get install -y --no-install-recommends buildah debootstrap; } \
        >"$folder/apt.log" 2>&1 ||
        cannot tools "apt-get failed: $(last apt 1)"
fi
for command in buildah debootstrap unshare chroot; do
    command -v "$command" >/dev/null || cannot tools "no $command; --install installs it"
done
storage=(--root "$folder/storage" --runroot "$folder/run")
clean() {
    buildah "${storage[@]}" rm --all >/dev/null 2>&1 || true
    umount "$folder/storage/overlay" 2>/dev/null || true
    rm -rf "$folder/storage" "$folder/run"
}
trap clean EXIT

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

mkdir -p "$folder/wheels"
WHEELS=${WHEELS:-${PIP_FIND_LINKS:-$(python3 -m pip config get global.find-links || true)}}
[ -d "$WHEELS" ] || WHEELS=$folder/wheels
chroot=(--isolation chroot --volume "$WHEELS:/wheels:ro")

say "what a build needs: commands in a chroot, pip and its index"
container=$(buildah "${storage[@]}" from "$BASE") || cannot "buildah from" "see above"
buildah "${storage[@]}" run "${chroot[@]}" "$container" -- true || cannot "buildah run" "see above"
buildah "${storage[@]}" run "${chroot[@]}" "$container" -- sh -c \
    'python3 -m venv /tmp/v && /tmp/v/bin/pip download --no-deps --dest /tmp/v setuptools' \
    >"$folder/pip.log" 2>&1 || cannot pip "$(last pip)"
buildah "${storage[@]}" rm "$container" >/dev/null

# from here on a failure is one of the Dockerfile or of the application
say "image: buildah bud"
buildah "${storage[@]}" bud "${chroot[@]}" --layers=false --rm=false \
    --build-arg BASE="$BASE" --build-arg BASE_NAME="$BASE" --build-arg BASE_DIGEST= \
    --build-arg REVISION=abc123 --build-arg TORCH_INDEX_URL="${TORCH_INDEX_URL:-}" \
    --tag bids-gan "$source" >"$folder/bud.log" 2>&1 || { last bud 20; exit 1; }

say "labels, user, entry point"
config() { buildah "${storage[@]}" inspect --type image --format "{{$1}}" bids-gan; }
expect() {
    local found
    found=$(config "$2")
    [ "$found" = "$3" ] || { echo "$1 is '$found', not '$3'"; exit 1; }
}
label() { printf 'index .OCIv1.Config.Labels "org.opencontainers.image.%s"' "$1"; }
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$source/bids_gan/__init__.py")
expect version "$(label version)" "$version"
expect revision "$(label revision)" abc123
expect licences "$(label licenses)" Apache-2.0
expect "name of the base" "$(label base.name)" "$BASE"
expect user .OCIv1.Config.User 1000
expect "entry point" .OCIv1.Config.Entrypoint "[bids-gan]"
config .OCIv1.Config.Labels

say "the demo in the image: no network, read-only root, user $somebody, no home"
container=$(buildah "${storage[@]}" from bids-gan)
root=$(buildah "${storage[@]}" mount "$container")
mkdir -p "$folder/demo" "$root/demo"
chown "$somebody" "$folder/demo"
mapfile -t environment < <(buildah "${storage[@]}" inspect --type image \
    --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' bids-gan | grep .)
unshare --mount --net true || cannot "unshare" "no namespaces"
# shellcheck disable=SC2016  # expanded by the inner shell
inside='
    set -e
    root=$1 demo=$2 somebody=$3
    shift 3
    mount --bind "$root" "$root"
    mount --bind "$demo" "$root/demo"
    mount -o remount,bind,ro "$root"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/dev"
    mknod -m 666 "$root/dev/null" c 1 3
    mknod -m 666 "$root/dev/urandom" c 1 9
    mkdir "$root/dev/shm"
    chmod 1777 "$root/dev/shm" "$root/tmp"
    exec chroot --userspec="$somebody:$somebody" "$root" env -i "$@"
'
run() {
    unshare --mount --net bash -c "$inside" inside "$root" "$folder/demo" "$somebody" \
        "${environment[@]}" HOME=/nowhere "$@"
}
run_refused() {
    local words=$1 output
    shift
    if output=$(run "$@" 2>&1); then echo "this must not work: $*"; exit 1; fi
    grep "$words" <<<"$output"
}
run bids-gan --version
for package in pkg:pypi/torch@ pkg:pypi/antspyx@ pkg:deb/debian/libc6@; do
    grep -q "$package" "$root/opt/bids-gan/sbom.cdx.json" || { echo "SBOM without $package"; exit 1; }
done
# /var/tmp belongs to everybody: only the read-only root forbids it
run_refused "Read-only file system" touch /var/tmp/x
run_refused "Network is unreachable" \
    python3 -c 'import socket; socket.create_connection(("192.0.2.1", 80), 5)'
run bids-gan-demo /demo/bids
run bids-gan /demo/bids /demo/derivatives participant --work-dir /demo/work --nprocs 2
run bids-gan /demo/bids /demo/derivatives group
run bids-gan-demo /demo/bids --compare /demo/derivatives
test -s "$folder/demo/derivatives/sub-01.html"
echo "it works: $folder/demo/derivatives"
