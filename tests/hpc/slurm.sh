#!/usr/bin/env bash
# Three people on a SLURM of one node: as a job array, through Nipype's plugin, and locally.
#
#     tests/hpc/slurm.sh [--install] [FOLDER]
#
# --install lets apt install slurm-wlm and munge (root, Debian or Ubuntu). Needs bids-gan and its
# Python on the PATH. PEOPLE sets another number than three. One thread a step: with more, the order
# in which registration adds numbers up changes from run to run, and the last digits with it. Exit
# code: 0 identical results; 77 SLURM cannot be installed here; 1 the results differ, or the daemons
# are there and do not start (WAIT: seconds that they are given, 60).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../examples/hpc
install=
if [ "${1:-}" = --install ]; then install=yes; shift; fi
folder=$(realpath -m "${1:-$(mktemp -d)}")
mkdir -p "$folder"
daemons=()

say() { printf '\n==> [%4d s] %s\n' "$SECONDS" "$*"; }
cannot() { printf 'SKIPPED at step "%s": %s\n' "$1" "$2"; exit 77; }
broken() { printf 'FAILED at step "%s": %s\n' "$1" "$2"; exit 1; }
stop() {
    for daemon in "${daemons[@]}"; do kill "$daemon" 2>/dev/null || true; done
    wait || true
}
trap stop EXIT

# waits until a command succeeds
until_works() {
    local what=$1 tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt "${WAIT:-60}" ] || broken "$what" "no answer; logs are in $folder"
        sleep 1
    done
}

say "packages"
[ "$(id -u)" = 0 ] || cannot packages "the daemons of SLURM need root"
if [ -n "$install" ]; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge; } \
        >"$folder/apt.log" 2>&1 ||
        cannot packages "apt-get failed: $(tail -n 1 "$folder/apt.log")"
fi
for command in munged slurmctld slurmd sbatch bids-gan; do
    command -v "$command" >/dev/null || cannot packages "no $command; --install installs SLURM"
done

say "a cluster of one node"
chmod 755 "$folder"
private=$folder/munge
mkdir -p "$private" "$folder/state" "$folder/spool"
chmod 700 "$private"
head -c 1024 /dev/urandom >"$private/key"
chmod 400 "$private/key"
munged --foreground --force --socket "$private/socket" --key-file "$private/key" \
    --pid-file "$private/pid" --seed-file "$private/seed" --log-file "$private/log" \
    >"$folder/munged.log" 2>&1 &
daemons+=($!)
until_works munge test -S "$private/socket"
cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$private/socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=localhost CPUs=2 RealMemory=12000 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld -D -f "$SLURM_CONF" >/dev/null 2>&1 &
daemons+=($!)
until_works slurmctld scontrol ping
slurmd -D -N localhost -f "$SLURM_CONF" >/dev/null 2>&1 &
daemons+=($!)
until_works slurmd bash -c 'sinfo -h -o %t | grep -q "idle\|mix\|alloc"'
sinfo
timeout 120 srun --mem=100M true || broken "first job" "$(tail -n 3 "$folder/slurmd.log")"

people=${PEOPLE:-3}
say "$people people"
[ -d "$folder/data" ] || python "$here/people.py" "$folder/data" "$people"

say "locally"
options=(--skip-bids-validation --omp-nthreads 1)
bids-gan "$folder/data" "$folder/local" participant "${options[@]}" --work-dir "$folder/work-local"

say "as a job array: examples/hpc/slurm_array.sh"
(cd "$folder" && sbatch --wait --array="1-$people" "$examples/slurm_array.sh" \
    "$folder/data" "$folder/array" "$folder/work-array" "${options[@]}")

say "through Nipype's plugin: examples/hpc/nipype_slurm.yml"
bids-gan "$folder/data" "$folder/plugin" participant "${options[@]}" \
    --work-dir "$folder/work-plugin" --use-plugin "$examples/nipype_slurm.yml"

say "comparison"
for way in array plugin; do
    # reports and logs hold times and names of runs; figures hold random identifiers
    diff -rq --exclude=logs --exclude=figures --exclude='*.html' "$folder/local" "$folder/$way"
    echo "$way: identical to the local run"
done
